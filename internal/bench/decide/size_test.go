package decide

import "testing"

// maxTouched is the most that a row may have in which each of the hundred campaigns has a place, at p99.
const maxTouched = 4 << 10

func TestARowThatAHundredCampaignsTouchedHasFourKiB(t *testing.T) {
	in := input{plans: Plans(), n: 1, users: 1, partitions: 1, from: 1_700_000_000_000}
	z, err := in.touched()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("rows of %d campaigns: %+v bytes", len(in.plans), z)
	if z.P99 > maxTouched || z.P50 < 1000 {
		t.Errorf("%+v bytes, at p99 at most %d", z, maxTouched)
	}
}
