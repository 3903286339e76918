// Package embedded runs the servers dwell needs without Docker: a Kafka inside
// this process (kfake), a ClickHouse out of libchdb, and a real Apache Kafka
// from Maven's jars. What enters is a folder and ports; what leaves are
// addresses on 127.0.0.1, the only interface anything here listens on.
//
// Nothing here is meant for production: use a Kafka and a ClickHouse of your
// own there.
package embedded
