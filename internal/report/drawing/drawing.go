// Package drawing holds pictures as lists of shapes, for SVG and for PDF.
//
// A picture says what each mark is for, with an Ink, and the palette says what
// that looks like, on light paper and on dark. Layouts are therefore plain
// functions from data to shapes, and tests compare shapes.
package drawing

// Drawing is a picture. Lengths are points (1/72 inch); x grows to the right, y
// downwards. Shapes are painted in order.
type Drawing struct {
	Title       string // what it shows, in a few words
	Description string // the same for who cannot see it, in a sentence or two
	Width       float64
	Height      float64
	Shapes      []Shape
}

// Add appends shapes.
func (d *Drawing) Add(shapes ...Shape) { d.Shapes = append(d.Shapes, shapes...) }

// Shape is a Line, a Box, an Area or a Text.
type Shape interface{ shape() }

// Point is a place in a picture.
type Point struct{ X, Y float64 }

// Line is a polyline. An Arrow has a head at its last point.
type Line struct {
	Points []Point
	Width  float64
	Ink    Ink
	Dash   Dash
	Arrow  bool
	Tip    string // shown when one points at it; may be empty
}

// Box is a rectangle, filled and with an outline where the inks say so.
type Box struct {
	X, Y, Width, Height float64
	Round               float64 // radius of its corners
	Fill, Outline       Ink     // None: without
	Hatched             bool    // striped, so that it can be told apart without colour
	Tip                 string
}

// Area is a filled polygon.
type Area struct {
	Points []Point
	Fill   Ink
	Tip    string
}

// Text is one line of text. Y is its baseline.
type Text struct {
	X, Y   float64
	Size   float64
	Anchor Anchor
	Ink    Ink
	Bold   bool
	Halo   bool    // on a patch of paper, so that lines below do not disturb it
	Turn   float64 // degrees, clockwise, about (X, Y)
	Text   string
}

func (Line) shape() {}
func (Box) shape()  {}
func (Area) shape() {}
func (Text) shape() {}

// Anchor says which part of a text stands at its X.
type Anchor uint8

// The anchors.
const (
	Start Anchor = iota
	Middle
	End
)

// Dash is how a line is broken.
type Dash uint8

// The dashes.
const (
	Solid Dash = iota
	Dashed
	Dotted
	DashDot
)

// Ink says what a mark is for; the palette turns it into a colour.
type Ink uint8

// The inks. Series0 and those after it tell up to eight lines of a chart apart,
// together with dashes and markers; colour alone never does.
const (
	None    Ink = iota
	Paper       // the background
	Ink1        // text and whatever matters
	Ink2        // what matters less: captions, messages beside the point
	Grid        // lifelines and rulers
	Message     // an arrow that matters
	Waiting     // the bar of who waits
	Holding     // the bar of who is inside
	Broken      // crashes and lost holds
	Series0
)

// SeriesMax is how many series can be told apart.
const SeriesMax = 8

// Series returns the ink of the i-th series, from 0.
func Series(i int) Ink { return Series0 + Ink(i%SeriesMax) }

// textAspect is the mean width of a character of the fonts in use, as a share
// of the size of the font: text is set in a font of one width.
const textAspect = 0.6

// TextWidth is how wide a text is at a size.
func TextWidth(text string, size float64) float64 {
	n := 0
	for range text {
		n++
	}
	return float64(n) * textAspect * size
}
