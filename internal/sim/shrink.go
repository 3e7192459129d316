package sim

import "slices"

// shrink leaves out steps, in smaller and smaller runs of them, as long as what
// remains still breaks a rule.
func (f *Failure) shrink() *Failure {
	for size := len(f.Steps) / 2; size > 0; {
		smaller := f.without(size)
		if smaller == nil {
			size /= 2
			continue
		}
		f = smaller
		size = min(size, len(f.Steps))
	}
	return f
}

// without tries to leave out size steps somewhere.
func (f *Failure) without(size int) *Failure {
	for at := 0; at+size <= len(f.Steps); at += size {
		steps := slices.Concat(f.Steps[:at], f.Steps[at+size:])
		if shorter := replay(f.Config, steps); shorter != nil && len(shorter.Steps) < len(f.Steps) {
			return shorter
		}
	}
	return nil
}

// replay takes those of the steps that are possible, then settles. It returns
// the failure, if there is one.
func replay(c Config, steps []Step) *Failure {
	f := &Failure{Config: c}
	n, err := NewNetwork(c)
	if err != nil {
		return nil
	}
	for _, s := range steps {
		if n.refuse(s) != "" {
			continue
		}
		f.Steps = append(f.Steps, s)
		if _, f.Reason = n.Do(s); f.Reason != nil {
			return f
		}
	}
	if f.Reason = n.Settle(settleLimit, nil); f.Reason != nil {
		f.Settle = true
		return f
	}
	return nil
}
