package declare

import (
	"bytes"
	"fmt"
	"strings"
)

// maxTable bounds the comparison of two texts: lines of one times lines of the other.
const maxTable = 4 << 20

// around is how many equal lines a diff shows before and after a change.
const around = 3

// Diff shows what changed between two texts, line by line: "-" before a line that went, "+" before
// one that came, up to three equal lines around. Empty: they are equal.
func Diff(before, after []byte) string {
	if bytes.Equal(before, after) {
		return ""
	}
	all := compare(split(before), split(after))
	var b strings.Builder
	last := -1
	for i, l := range all {
		if !near(all, i) {
			continue
		}
		if last >= 0 && i > last+1 {
			fmt.Fprintln(&b, "  ...")
		}
		fmt.Fprintf(&b, "%c %s\n", l.mark, l.text)
		last = i
	}
	return b.String()
}

func split(text []byte) []string {
	s := strings.TrimSuffix(string(text), "\n")
	if s == "" && len(text) == 0 {
		return nil
	}
	return strings.Split(s, "\n")
}

// marked is a line of a diff: ' ', '-' or '+'.
type marked struct {
	mark byte
	text string
}

func near(all []marked, i int) bool {
	for j := max(0, i-around); j <= min(len(all)-1, i+around); j++ {
		if all[j].mark != ' ' {
			return true
		}
	}
	return false
}

// compare keeps a longest common sequence of lines; beyond maxTable it replaces what lies between the
// equal ends as a whole.
func compare(a, b []string) []marked {
	var head, tail []marked
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, marked{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, marked{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	out := append(head, middle(a, b)...)
	for i := len(tail) - 1; i >= 0; i-- {
		out = append(out, tail[i])
	}
	return out
}

func middle(a, b []string) []marked {
	var out []marked
	i, j := 0, 0
	if len(a)*len(b) <= maxTable {
		length := common(a, b)
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				out = append(out, marked{' ', a[i]})
				i, j = i+1, j+1
			case length[i+1][j] >= length[i][j+1]:
				out = append(out, marked{'-', a[i]})
				i++
			default:
				out = append(out, marked{'+', b[j]})
				j++
			}
		}
	}
	for ; i < len(a); i++ {
		out = append(out, marked{'-', a[i]})
	}
	for ; j < len(b); j++ {
		out = append(out, marked{'+', b[j]})
	}
	return out
}

// common has the length of a longest common sequence of a[i:] and b[j:] at [i][j].
func common(a, b []string) [][]int32 {
	length := make([][]int32, len(a)+1)
	for i := range length {
		length[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			length[i][j] = max(length[i+1][j], length[i][j+1])
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	return length
}
