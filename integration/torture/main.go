// Command torture kills workers and brokers at random while events come in, and then compares every
// user's row and every action with what lies in the input. The checker shares no code with the core:
// it reads the topics with a plain client and decodes them itself.
//
// Its last line is "torture: N kills, W wrong rows, L lost, D doubled"; anything but 0, 0, 0 exits 1.
// What is drawn is drawn from the seed, which is printed: the same seed gives the same faults in the
// same order, at the same moments after one another as far as the machine allows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options say what a run does.
type options struct {
	kills   int
	round   int // kills, after which brokers and data are made anew
	seed    uint64
	brokers int // real Kafka nodes; 0: the embedded Kafka
	faults  []fault
	stack   string
	workers int
	rate    int // counted events per second
	users   int
	dir     string // of all data and logs; empty: a temporary one
	keep    bool   // what is in dir, also when all was right
	out     io.Writer
}

func main() {
	if os.Getenv(workerEnv) != "" {
		os.Exit(workerMain())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(2)
	}
	v, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(o.out, "torture:", err)
	}
	if v.records == 0 { // nothing was compared: no verdict
		os.Exit(1)
	}
	fmt.Fprintln(o.out, v)
	if err != nil || !v.right() {
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{out: os.Stdout}
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.IntVar(&o.kills, "kills", 20, "kill -9 of workers and of brokers")
	f.Uint64Var(&o.seed, "seed", 0, "repeats a run; 0 draws one")
	f.IntVar(&o.brokers, "brokers", 3, "real Kafka nodes, 1 or 3; 0 is the embedded Kafka, where workers alone may be killed")
	f.IntVar(&o.round, "round", 100, "kills, after which all was checked and brokers, topics and data are made anew")
	f.StringVar(&o.stack, "stack", stackDwell, "dwell; to see that the checker finds something, also loose: dwell with input offsets committed outside of its transactions, or goka: stock goka on sarama")
	f.IntVar(&o.workers, "workers", 2, "worker processes")
	f.IntVar(&o.rate, "rate", 500, "counted events per second")
	f.IntVar(&o.users, "users", 500, "users whose events are counted")
	f.StringVar(&o.dir, "dir", "", "where data and logs are; empty: a temporary folder. Of what was right, a run of one round keeps its data in a named folder")
	faults := f.String("faults", "", "comma separated, out of "+names(allFaults)+"; empty: all that the brokers and the stack allow")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	o.keep = o.dir != ""
	if err := o.choose(*faults); err != nil {
		return o, err
	}
	return o, o.validate()
}

// choose reads the list of faults.
func (o *options) choose(list string) error {
	if list == "" {
		o.faults = possible(o.brokers, o.stack)
		return nil
	}
	for name := range strings.SplitSeq(list, ",") {
		f := fault(strings.TrimSpace(name))
		if !slices.Contains(allFaults, f) {
			return fmt.Errorf("faults: %q is none of %s", f, names(allFaults))
		}
		o.faults = append(o.faults, f)
	}
	return nil
}

func (o *options) validate() error {
	var faults []error
	if o.kills < 0 || o.round < 1 || o.workers < 1 || o.rate < 1 || o.users < 1 {
		faults = append(faults, errors.New("kills must not be negative; round, workers, rate and users must be positive"))
	}
	if !slices.Contains([]int{0, 1, 3}, o.brokers) {
		faults = append(faults, fmt.Errorf("brokers: %d is none of 0, 1, 3", o.brokers))
	}
	if !slices.Contains([]string{stackDwell, stackLoose, stackGoka}, o.stack) {
		faults = append(faults, fmt.Errorf("stack: %q is none of %s, %s, %s", o.stack, stackDwell, stackLoose, stackGoka))
	}
	for _, f := range o.faults {
		if !slices.Contains(possible(o.brokers, o.stack), f) {
			faults = append(faults, fmt.Errorf("faults: %s needs other brokers than -brokers %d or another stack than %s", f, o.brokers, o.stack))
		}
	}
	return errors.Join(faults...)
}

// run is a whole run: rounds of o.round kills, one after the other, each with brokers, topics and data
// of its own, checked and swept away before the next. So memory and disk are those of one round, and
// a run that was stopped goes on where it was: the seed of a round is the run's and the round's number.
func run(ctx context.Context, o options) (sum verdict, err error) {
	rounds := max(1, (o.kills+o.round-1)/o.round)
	left := o.kills
	for n := range rounds {
		r := o
		r.kills, r.seed = min(left, o.round), o.seed+uint64(n)
		if rounds > 1 {
			fmt.Fprintf(o.out, "torture: round %d of %d\n", n+1, rounds)
			if r.keep = false; o.dir != "" {
				r.dir = filepath.Join(o.dir, fmt.Sprintf("round-%d", n+1))
			}
		}
		v, err := round(ctx, r)
		sum.merge(v)
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil || !v.right() {
			if rounds > 1 {
				fmt.Fprintf(o.out, "torture: stopped in round %d; from there on: -kills %d -seed %d\n", n+1, left, r.seed)
			}
			return sum, err
		}
		left -= r.kills
		if rounds > 1 {
			fmt.Fprintf(o.out, "%s so far\n", sum)
		}
	}
	return sum, nil
}

// round goes from the first broker to the verdict. The verdict is what was found also when there is an
// error: what did not get through counts as lost.
func round(ctx context.Context, o options) (v verdict, err error) {
	start := time.Now()
	t, err := setUp(ctx, o)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, t.close(err == nil && v.right())) }()
	fmt.Fprintf(o.out, "torture: seed %d, %d kills, %d brokers, %d workers, stack %s, faults %s, data in %s\n",
		o.seed, o.kills, o.brokers, o.workers, o.stack, names(o.faults), t.dir)
	err = t.perform(ctx, start)
	if ctx.Err() != nil {
		return v, err
	}
	serr := t.settle(ctx) // also after an error: what does not get through now is lost
	v, cerr := t.check(ctx)
	v.kills, v.died = t.kills, t.deaths
	t.notes(v, time.Since(start))
	return v, errors.Join(err, serr, cerr)
}

// perform runs all steps.
func (t *torture) perform(ctx context.Context, start time.Time) error {
	steps := schedule(t.o)
	for i, s := range steps {
		fmt.Fprintf(t.o.out, "%7.1fs %3d/%d %v\n", time.Since(start).Seconds(), i+1, len(steps), s)
		if err := t.do(ctx, s); err != nil {
			return fmt.Errorf("step %d, %v: %w", i+1, s, err)
		}
	}
	return nil
}
