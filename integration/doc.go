// Package integration tests dwell as its users run it: the built binary, its command line, real
// brokers, a real ClickHouse engine, a real browser. It runs on the embedded brokers always, on a
// real Apache Kafka where there is a JDK and Maven, on Docker where an engine answers, and on the
// brokers that DWELL_TEST_BROKERS names.
package integration
