package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/dwellhq/dwell/topics"
)

// Plan says what must change so that the brokers have the topics as they are declared; empty means
// nothing. It changes nothing.
func Plan(ctx context.Context, cfg Config, specs ...*topics.Spec) ([]topics.Change, error) {
	cl, err := cfg.NewClient("dwell-topics")
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	list, err := listed(ctx, adm)
	if err != nil {
		return nil, err
	}
	found := layouts(list, specs)
	if err := configure(ctx, adm, found); err != nil {
		return nil, err
	}
	return topics.Plan(specs, cluster(ctx, cfg, adm, len(found) < len(specs)), found), nil
}

// Apply creates topics and sets configuration as planned, and returns once every broker shows the new
// topics. When anything was refused it changes nothing and returns that: a topic made beside one that
// has another number of partitions would only have to be copied, too. What fails does not keep the
// rest from being carried out; the errors name it.
func Apply(ctx context.Context, cfg Config, changes []topics.Change) error {
	if err := refusals(changes); err != nil {
		return err
	}
	cl, err := cfg.NewClient("dwell-topics")
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	made, err := create(ctx, adm, changes)
	faults := []error{err}
	for first := 0; first < len(changes); { // the settings of a topic go together: one must not act without the other
		topic, past := changes[first].Topic, first
		var set []kadm.AlterConfig
		for ; past < len(changes) && changes[past].Topic == topic; past++ {
			if c := changes[past]; c.What == topics.ToSet {
				set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Setting, Value: &c.To})
			}
		}
		if len(set) > 0 {
			faults = append(faults, alter(ctx, adm, topic, set))
		}
		first = past
	}
	_, err = visible(ctx, adm, made)
	return errors.Join(append(faults, err)...)
}

func alter(ctx context.Context, adm *kadm.Client, topic string, set []kadm.AlterConfig) error {
	answer, err := adm.AlterTopicConfigs(ctx, set, topic)
	if err == nil {
		var r kadm.AlterConfigsResponse
		r, err = answer.On(topic, nil)
		if err == nil && r.Err != nil {
			err = fmt.Errorf("%w %s", r.Err, r.ErrMessage)
		}
	}
	if err != nil {
		return fmt.Errorf("configure topic %s: %w", topic, err)
	}
	return nil
}

// create makes what the changes ask for and returns the names; a topic that somebody else has made
// meanwhile is no error.
func create(ctx context.Context, adm *kadm.Client, changes []topics.Change) ([]string, error) {
	var (
		made   []string
		faults []error
	)
	for _, c := range changes {
		if c.What != topics.ToCreate {
			continue
		}
		config := map[string]*string{}
		for k, v := range c.New.Config {
			config[k] = &v
		}
		_, err := adm.CreateTopic(ctx, int32(c.New.Partitions), int16(c.New.Replication), config, c.Topic)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			faults = append(faults, fmt.Errorf("create topic %s: %w", c.Topic, err))
			continue
		}
		made = append(made, c.Topic)
	}
	return made, errors.Join(faults...)
}

// refusals is what a person must settle, as one error.
func refusals(changes []topics.Change) error {
	var faults []error
	for _, c := range changes {
		if c.What == topics.Refused {
			faults = append(faults, errors.New(c.String()))
		}
	}
	return errors.Join(faults...)
}

// layouts are the partitions and replicas of those specs that exist.
func layouts(list kadm.TopicDetails, specs []*topics.Spec) map[string]topics.Found {
	found := map[string]topics.Found{}
	for _, s := range specs {
		t, ok := list[s.Name]
		if !ok || t.Err != nil {
			continue
		}
		f := topics.Found{Partitions: len(t.Partitions)}
		for _, p := range t.Partitions {
			if n := len(p.Replicas); f.Replication == 0 || n < f.Replication {
				f.Replication = n
			}
		}
		found[s.Name] = f
	}
	return found
}

// configure adds the settings in force.
func configure(ctx context.Context, adm *kadm.Client, found map[string]topics.Found) error {
	if len(found) == 0 {
		return nil // no name would mean all topics
	}
	var names []string
	for name := range found {
		names = append(names, name)
	}
	all, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the topics' configuration: %w", err)
	}
	for _, r := range all {
		if r.Err != nil {
			return fmt.Errorf("read the configuration of topic %s: %w %s", r.Name, r.Err, r.ErrMessage)
		}
		f := found[r.Name]
		f.Config = map[string]string{}
		for _, c := range r.Configs {
			if c.Value != nil {
				f.Config[c.Key] = *c.Value
			}
		}
		found[r.Name] = f
	}
	return nil
}

// cluster is the configuration's part of the plan. The brokers' default replication is asked for only
// when it decides something: when a topic has to be created by it. Not every broker tells.
func cluster(ctx context.Context, cfg Config, adm *kadm.Client, missing bool) topics.Cluster {
	c := topics.Cluster{Partitions: int(cfg.Partitions), Replication: int(cfg.Replication)}
	if !missing || cfg.Replication >= 0 {
		return c
	}
	one, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	brokers, err := adm.ListBrokers(one)
	if err != nil || len(brokers) == 0 {
		return c
	}
	all, err := adm.DescribeBrokerConfigs(one, brokers[0].NodeID)
	if err != nil {
		return c
	}
	for _, r := range all {
		for _, v := range r.Configs {
			if n, err := strconv.Atoi(v.MaybeValue()); err == nil && v.Key == "default.replication.factor" {
				c.DefaultReplication = min(n, len(brokers)) // fakes say 3 and make one
			}
		}
	}
	return c
}
