package drawing

import "fmt"

// RGB is a colour.
type RGB struct{ R, G, B uint8 }

func (c RGB) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// Palette says what the inks look like. Its colours begin with those of Okabe and
// Ito, and were moved until they stand out from the paper and people with any
// kind of colour vision can tell them apart; the tests measure both.
type Palette struct {
	Paper, Ink1, Ink2, Grid           RGB
	Message, Waiting, Holding, Broken RGB
	Series                            [SeriesMax]RGB
}

// Light is for print and for bright screens.
var Light = Palette{
	Paper: RGB{0xff, 0xff, 0xff}, Ink1: RGB{0x1a, 0x1c, 0x1f}, Ink2: RGB{0x63, 0x69, 0x71}, Grid: RGB{0xb9, 0xbe, 0xc5},
	Message: RGB{0x00, 0x68, 0xa6}, Waiting: RGB{0xe6, 0x9f, 0x00}, Holding: RGB{0x00, 0x9e, 0x73}, Broken: RGB{0xb3, 0x47, 0x00},
	Series: [SeriesMax]RGB{
		{0x1a, 0x6a, 0xa6}, {0xd6, 0x5e, 0x00}, {0x0e, 0x8d, 0x8d}, {0xb5, 0x60, 0x65},
		{0xaf, 0x8c, 0x67}, {0x33, 0x9b, 0xd3}, {0x1a, 0x1c, 0x1f}, {0x7a, 0x6c, 0xd3},
	},
}

// Dark is for screens of people who like them dark.
var Dark = Palette{
	Paper: RGB{0x16, 0x18, 0x1c}, Ink1: RGB{0xec, 0xed, 0xef}, Ink2: RGB{0xa3, 0xa9, 0xb1}, Grid: RGB{0x56, 0x5c, 0x65},
	Message: RGB{0x6c, 0xbf, 0xf0}, Waiting: RGB{0xba, 0x88, 0x00}, Holding: RGB{0x17, 0xa2, 0x91}, Broken: RGB{0xff, 0xa0, 0x5e},
	Series: [SeriesMax]RGB{
		{0x00, 0x72, 0xb2}, {0xd5, 0x5e, 0x00}, {0x03, 0x9e, 0x72}, {0xb3, 0x74, 0xdf},
		{0xf2, 0xdd, 0x35}, {0x61, 0xb9, 0xeb}, {0xec, 0xed, 0xef}, {0x8c, 0x9b, 0xae},
	},
}

// RGB returns the colour of an ink. None has none: it gives the paper's.
func (p *Palette) RGB(ink Ink) RGB {
	switch ink {
	case Ink1:
		return p.Ink1
	case Ink2:
		return p.Ink2
	case Grid:
		return p.Grid
	case Message:
		return p.Message
	case Waiting:
		return p.Waiting
	case Holding:
		return p.Holding
	case Broken:
		return p.Broken
	}
	if ink >= Series0 {
		return p.Series[int(ink-Series0)%SeriesMax]
	}
	return p.Paper
}
