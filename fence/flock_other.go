//go:build !unix || aix || solaris || illumos

package fence

import "os"

// flockThere says that this system has no flock.
const flockThere = false

func flock(*os.File, bool) (ok bool, err error) { return false, errNoFlock{} }
