package topics_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Reading is what a thermometer says.
type Reading struct{ Celsius float64 }

// Plain is the codec of readings: the number as text, such as 21.5.
type Plain struct{}

// Append implements schemas.Codec.
func (Plain) Append(dst []byte, r Reading) ([]byte, error) {
	return strconv.AppendFloat(dst, r.Celsius, 'f', -1, 64), nil
}

// Decode implements schemas.Codec: what is no number goes to the dead letters.
func (Plain) Decode(b []byte) (Reading, error) {
	c, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return Reading{}, fmt.Errorf("%w: reading: %w", schemas.ErrUndecodable, err)
	}
	return Reading{c}, nil
}

// Readings is keyed by house/room.
var Readings = topics.Of(topics.Spec{Name: "house.readings.v1"}, schemas.Codec[Reading](Plain{}))

// END of what docs/codecs.md shows.

func TestDocsShowTheCodec(t *testing.T) {
	doc, err := os.ReadFile("../docs/codecs.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("codec_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(code), "\n// Reading is")
	shown, _, found := strings.Cut(shown, "\n// END of")
	if !found || !strings.Contains(string(doc), "```go\n// Reading is"+shown+"```") {
		t.Error("docs/codecs.md does not show this code, to the letter")
	}
}

func TestACodecOfOnesOwnCarriesRecords(t *testing.T) {
	type peak struct{ Celsius float64 }
	def := processors.Define(processors.Processor[peak]{
		Name: "warmest", Outputs: []*topics.Spec{Readings.Spec},
		Inputs: []processors.Input[peak]{processors.On(Readings, func(t *processors.Turn[peak], r Reading) {
			if r.Celsius > t.State.Celsius {
				t.State.Celsius = r.Celsius
				processors.Emit(t, Readings, t.Key, r)
			}
		})},
	})
	r := proctest.New(t, def)
	for _, c := range []float64{20.5, 19, 23.25} {
		proctest.Send(r, Readings, "house/kitchen", Reading{c})
	}
	if got := proctest.Take(r, Readings); len(got) != 2 || got[1].Celsius != 23.25 {
		t.Errorf("emitted %v", got)
	}
	for _, bad := range []string{"", "warm", "1,5"} {
		if _, err := Readings.Codec.Decode([]byte(bad)); err == nil || !strings.Contains(err.Error(), schemas.ErrUndecodable.Error()) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
