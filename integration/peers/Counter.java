import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Counter does in Kafka Streams, exactly once, what the other stacks of dwell bench do: a row per user
 * (count, sum, last time) and an action for an event that asks for one.
 *
 * Arguments: brokers, application id, input topic, topic of actions, folder of the state, commit
 * interval in ms, threads, and whether the rows lie in memory (true) or in RocksDB (false).
 *
 * A line "mark" on standard input is answered with the CPU time so far; the end of standard input
 * ends the application.
 */
public final class Counter {
  private static final String STORE = "table";

  /** Step is the processor: one event, one row. The layouts are those of internal/bench/core/workload.go. */
  private static final class Step implements Processor<byte[], byte[], byte[], byte[]> {
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> rows;

    @Override
    public void init(ProcessorContext<byte[], byte[]> c) {
      context = c;
      rows = c.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> r) {
      ByteBuffer event = ByteBuffer.wrap(r.value()).order(ByteOrder.LITTLE_ENDIAN);
      Bytes key = Bytes.wrap(r.key());
      byte[] old = rows.get(key);
      ByteBuffer before = old == null ? null : ByteBuffer.wrap(old).order(ByteOrder.LITTLE_ENDIAN);
      ByteBuffer row = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
      row.putLong(1 + (before == null ? 0 : before.getLong(0)));
      row.putLong((event.getLong(0) & 0xff) + (before == null ? 0 : before.getLong(8)));
      row.putLong(r.timestamp());
      rows.put(key, row.array());
      if (event.get(16) == 1) {
        byte[] action = new byte[16];
        event.get(0, action);
        context.forward(new Record<>(r.key(), action, r.timestamp()));
      }
    }
  }

  private static Topology topology(String input, String actions, boolean memory) {
    Topology t = new Topology();
    var bytes = Serdes.ByteArray();
    t.addSource("events", bytes.deserializer(), bytes.deserializer(), input);
    t.addProcessor("step", Step::new, "events");
    var supplier = memory ? Stores.inMemoryKeyValueStore(STORE) : Stores.persistentKeyValueStore(STORE);
    t.addStateStore(
        Stores.keyValueStoreBuilder(supplier, Serdes.Bytes(), Serdes.ByteArray()).withCachingEnabled().withLoggingEnabled(Map.of()), "step");
    t.addSink("actions", actions, bytes.serializer(), bytes.serializer(), "step");
    return t;
  }

  private static Properties properties(String[] a) {
    Properties p = new Properties();
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[1]);
    p.put(StreamsConfig.STATE_DIR_CONFIG, a[4]);
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, a[5]);
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, a[6]);
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, -1);
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    p.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
    p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    return p;
  }

  public static void main(String[] a) throws Exception {
    KafkaStreams streams = new KafkaStreams(topology(a[2], a[3], Boolean.parseBoolean(a[7])), properties(a));
    streams.setUncaughtExceptionHandler(
        e -> {
          for (Throwable t = e; t != null; t = t.getCause()) {
            System.err.println(t);
          }
          Runtime.getRuntime().halt(1);
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    streams.start();
    var os = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println("{\"cpu_ns\":" + os.getProcessCpuTime() + "}");
    }
    streams.close(Duration.ofSeconds(10));
  }
}
