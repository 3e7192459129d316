package drawing

import (
	"fmt"
	"math"
	"testing"
)

var palettes = map[string]*Palette{"light": &Light, "dark": &Dark}

// linear returns the light of a colour, each part from 0 to 1.
func linear(c RGB) [3]float64 {
	var l [3]float64
	for i, v := range [3]uint8{c.R, c.G, c.B} {
		x := float64(v) / 255
		if x <= 0.04045 {
			l[i] = x / 12.92
		} else {
			l[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return l
}

// contrast is that of WCAG 2.
func contrast(a, b RGB) float64 {
	luminance := func(c RGB) float64 {
		l := linear(c)
		return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestContrast wants text that can be read (4.5:1), and marks that can be seen
// (3:1). The bars of who waits and who holds are wide, and have their shapes.
func TestContrast(t *testing.T) {
	for name, p := range palettes {
		for _, ink := range []Ink{Ink1, Ink2, Message, Broken} {
			if c := contrast(p.RGB(ink), p.Paper); c < 4.5 {
				t.Errorf("%s: text in ink %d has a contrast of %.2f", name, ink, c)
			}
		}
		for i := range SeriesMax {
			if c := contrast(p.RGB(Series(i)), p.Paper); c < 3 {
				t.Errorf("%s: series %d has a contrast of %.2f", name, i, c)
			}
		}
		if c := contrast(p.RGB(Holding), p.Paper); c < 3 {
			t.Errorf("%s: who holds has a contrast of %.2f", name, c)
		}
	}
}

// visions are how people see: what becomes of linear light with each kind of
// cone missing (Machado, Oliveira and Fernandes 2009).
var visions = map[string][3][3]float64{
	"all cones": {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"no long":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"no medium": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"no short":  {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

// seen returns a colour in Oklab, as it is seen.
func seen(c RGB, eye [3][3]float64) [3]float64 {
	l := linear(c)
	var v [3]float64
	for i, row := range eye {
		v[i] = min(max(row[0]*l[0]+row[1]*l[1]+row[2]*l[2], 0), 1)
	}
	a := math.Cbrt(0.4122214708*v[0] + 0.5363325363*v[1] + 0.0514459929*v[2])
	b := math.Cbrt(0.2119034982*v[0] + 0.6806995451*v[1] + 0.1073969566*v[2])
	s := math.Cbrt(0.0883024619*v[0] + 0.2817188376*v[1] + 0.6299787005*v[2])
	return [3]float64{
		0.2104542553*a + 0.7936177850*b - 0.0040720468*s,
		1.9779984951*a - 2.4285922050*b + 0.4505937099*s,
		0.0259040371*a + 0.7827717662*b - 0.8086757660*s,
	}
}

// TestEverybodyTellsColoursApart looks with every kind of eyes at the colours
// that stand beside each other. In Oklab a difference of 0.02 can just be seen.
func TestEverybodyTellsColoursApart(t *testing.T) {
	for name, p := range palettes {
		marks, series := map[string]RGB{}, map[string]RGB{}
		for _, ink := range []Ink{Ink1, Message, Waiting, Holding, Broken} {
			marks[fmt.Sprint("ink ", ink)] = p.RGB(ink)
		}
		for i := range SeriesMax {
			series[fmt.Sprint("series ", i)] = p.RGB(Series(i))
		}
		for eyes, eye := range visions {
			apart(t, name+", "+eyes, marks, eye, 0.1)
			apart(t, name+", "+eyes, series, eye, 0.07)
		}
	}
}

func apart(t *testing.T, what string, colours map[string]RGB, eye [3][3]float64, least float64) {
	t.Helper()
	for a, first := range colours {
		for b, second := range colours {
			x, y := seen(first, eye), seen(second, eye)
			if d := math.Hypot(math.Hypot(x[0]-y[0], x[1]-y[1]), x[2]-y[2]); a < b && d < least {
				t.Errorf("%s: %s (%v) and %s (%v) differ by %.3f", what, a, first, b, second, d)
			}
		}
	}
}
