// Package docs holds the pages of the documentation that the program shows.
package docs

import (
	"embed"
	"strings"
)

//go:embed guarantees.md algorithms/*.md
var pages embed.FS

// Guarantees is what is promised, as Markdown.
func Guarantees() []byte { return page("guarantees.md") }

// Algorithm is the chapter about an algorithm, as Markdown; nil if there is
// none. Algorithms of other shapes, as raymond:star, share a chapter.
func Algorithm(name string) []byte {
	name, _, _ = strings.Cut(name, ":")
	return page("algorithms/" + name + ".md")
}

func page(path string) []byte {
	text, err := pages.ReadFile(path)
	if err != nil {
		return nil
	}
	return text
}
