package store

import "maps"

// Memory returns a store that lives in a map and dies with the process.
func Memory() *Store {
	m := memory{}
	return &Store{rows: m, offset: none, close: func() error { return nil }, clear: func([]byte) error {
		clear(m)
		return nil
	}}
}

type memory map[string][]byte

func (m memory) get(key []byte) ([]byte, error) {
	v, ok := m[string(key)]
	if !ok {
		return nil, nil
	}
	return append(make([]byte, 0, len(v)), v...), nil // an empty row is no missing row
}

func (m memory) apply(rows []Row, _ []byte) error {
	for _, r := range rows {
		if r.Value == nil {
			delete(m, string(r.Key))
			continue
		}
		m[string(r.Key)] = append(make([]byte, 0, len(r.Value)), r.Value...)
	}
	return nil
}

func (m memory) each(fn func(key, value []byte) error) error {
	for k, v := range maps.All(m) {
		if err := fn([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}
