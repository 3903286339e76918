import com.google.protobuf.CodedInputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
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
 * interval in ms, threads, whether the rows lie in memory (true) or in RocksDB (false), and the events:
 * raw or protobuf.
 *
 * A line "mark" on standard input is answered with the CPU time so far; the end of standard input
 * ends the application.
 */
public final class Counter {
  private static final String STORE = "table";

  /** Head is what the job asks of an event. */
  private record Head(long number, long sentNanos, boolean acts) {
    /** The layout is that of internal/bench/core/workload.go. */
    static Head raw(byte[] b) {
      ByteBuffer event = ByteBuffer.wrap(b).order(ByteOrder.LITTLE_ENDIAN);
      return new Head(event.getLong(0), event.getLong(8), event.get(16) == 1);
    }

    /** What number, send time and wish are in such an event says internal/bench/core/event.go. */
    static Head of(Event e) {
      return new Head(Long.parseUnsignedLong(e.id, 16), e.timeMs * 1_000_000, e.name.equals("Checkout Started"));
    }
  }

  /**
   * Event is dwell.v1.Event with all of its fields, as schemas/event.proto has them. They are read by the
   * calls that protoc would generate: strings are checked to be UTF-8, and bytes are copied. A field that the
   * file does not have is skipped, where generated code would keep it; the bench's events have none.
   */
  private static final class Event {
    private static final byte[] NONE = {};

    String id = "";
    String tenant = "";
    String userId = "";
    String anonymousId = "";
    String type = "";
    String name = "";
    long timeMs;
    long receivedMs;
    byte[] properties = NONE;
    byte[] traits = NONE;
    String path = "";
    String referrer = "";
    String userAgent = "";
    String address = "";
    String source = "";
    String previousId = "";

    static Event parse(byte[] b) throws IOException {
      CodedInputStream in = CodedInputStream.newInstance(b);
      Event e = new Event();
      for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
        switch (tag) {
          case 1 << 3 | 2 -> e.id = in.readStringRequireUtf8();
          case 2 << 3 | 2 -> e.tenant = in.readStringRequireUtf8();
          case 3 << 3 | 2 -> e.userId = in.readStringRequireUtf8();
          case 4 << 3 | 2 -> e.anonymousId = in.readStringRequireUtf8();
          case 5 << 3 | 2 -> e.type = in.readStringRequireUtf8();
          case 6 << 3 | 2 -> e.name = in.readStringRequireUtf8();
          case 7 << 3 -> e.timeMs = in.readInt64();
          case 8 << 3 -> e.receivedMs = in.readInt64();
          case 9 << 3 | 2 -> e.properties = in.readByteArray();
          case 10 << 3 | 2 -> e.traits = in.readByteArray();
          case 11 << 3 | 2 -> e.path = in.readStringRequireUtf8();
          case 12 << 3 | 2 -> e.referrer = in.readStringRequireUtf8();
          case 13 << 3 | 2 -> e.userAgent = in.readStringRequireUtf8();
          case 14 << 3 | 2 -> e.address = in.readStringRequireUtf8();
          case 15 << 3 | 2 -> e.source = in.readStringRequireUtf8();
          case 16 << 3 | 2 -> e.previousId = in.readStringRequireUtf8();
          default -> in.skipField(tag);
        }
      }
      return e;
    }
  }

  /** Step is the processor: one event, one row. */
  private static final class Step implements Processor<byte[], byte[], byte[], byte[]> {
    private final boolean protobuf;
    /** last keeps the compiler from leaving out fields that nobody asks for. */
    private Event last;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> rows;

    Step(boolean protobuf) {
      this.protobuf = protobuf;
    }

    private Head head(byte[] value) {
      if (!protobuf) {
        return Head.raw(value);
      }
      try {
        last = Event.parse(value);
      } catch (IOException e) {
        throw new UncheckedIOException("decode an event", e);
      }
      return Head.of(last);
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> c) {
      context = c;
      rows = c.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> r) {
      Head event = head(r.value());
      Bytes key = Bytes.wrap(r.key());
      byte[] old = rows.get(key);
      ByteBuffer before = old == null ? null : ByteBuffer.wrap(old).order(ByteOrder.LITTLE_ENDIAN);
      ByteBuffer row = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
      row.putLong(1 + (before == null ? 0 : before.getLong(0)));
      row.putLong((event.number() & 0xff) + (before == null ? 0 : before.getLong(8)));
      row.putLong(r.timestamp());
      rows.put(key, row.array());
      if (event.acts()) {
        ByteBuffer action = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
        action.putLong(event.number()).putLong(event.sentNanos());
        context.forward(new Record<>(r.key(), action.array(), r.timestamp()));
      }
    }
  }

  private static Topology topology(String input, String actions, boolean memory, boolean protobuf) {
    Topology t = new Topology();
    var bytes = Serdes.ByteArray();
    t.addSource("events", bytes.deserializer(), bytes.deserializer(), input);
    t.addProcessor("step", () -> new Step(protobuf), "events");
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
    KafkaStreams streams = new KafkaStreams(topology(a[2], a[3], Boolean.parseBoolean(a[7]), a[8].equals("protobuf")), properties(a));
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
