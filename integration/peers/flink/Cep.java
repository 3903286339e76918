import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.FilterFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.cep.CEP;
import org.apache.flink.cep.PatternSelectFunction;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Cep is the peer of dwell bench decide: Flink's CEP library over the events that the worker reads, a
 * keyed operator for each campaign, and a record to Kafka, exactly once, for each match.
 *
 * Arguments: brokers, group, input topic, topic of matches, folder of the checkpoints, checkpoint interval
 * in ms, parallelism, and the file of the campaigns, the JSON of decide.Plan.
 *
 * A line "mark" on standard input is answered with the CPU time so far; the end of standard input ends
 * the job.
 */
public final class Cep {
  /** Event is what patterns look at. */
  public static final class Event {
    public String user;
    public String name;
    public long time;
    public double amount;
    public boolean win;
  }

  /** Plan is one campaign. */
  public static final class Plan implements java.io.Serializable {
    String name;
    String kind;
    int times;
    Duration within;
    boolean where;
    List<String> events = new ArrayList<>();
    String until;

    Plan(JsonNode n) {
      name = n.get("Name").asText();
      kind = n.get("Kind").asText();
      times = n.get("Times").asInt();
      within = Duration.ofMillis(n.get("WithinMS").asLong());
      where = n.get("Where").asBoolean();
      n.get("Events").forEach(e -> events.add(e.asText()));
      until = n.get("Until").asText();
    }

    /** takes is the condition of a step. */
    boolean takes(Event e, String step) {
      return e.name.equals(step) && (!where || e.win && e.amount >= 50);
    }

    /** reads says whether the campaign has any use for an event. */
    boolean reads(Event e) {
      if (e.name.equals(until)) {
        return true;
      }
      for (int i = 0; i < events.size(); i++) {
        boolean plain = kind.equals("absence") && i == 1; // what must not come has no condition
        if (plain ? e.name.equals(events.get(i)) : takes(e, events.get(i))) {
          return true;
        }
      }
      return false;
    }

    private static SimpleCondition<Event> is(Test test) {
      return new SimpleCondition<>() {
        @Override
        public boolean filter(Event e) {
          return test.of(e);
        }
      };
    }

    /** Test is a condition that can be sent to a task. */
    interface Test extends java.io.Serializable {
      boolean of(Event e);
    }

    Pattern<Event, ?> pattern() {
      Pattern<Event, Event> p = Pattern.begin("0", AfterMatchSkipStrategy.skipPastLastEvent());
      String first = events.get(0);
      switch (kind) {
        case "count": // a reset is an event of the stream that is no step, so the steps are to be next to each other
          return p.where(is(e -> takes(e, first))).times(times).consecutive().within(within);
        case "any_of":
          return p.where(is(e -> events.contains(e.name)));
        case "absence":
          String not = events.get(1);
          return p.where(is(e -> takes(e, first))).notFollowedBy("not").where(is(e -> e.name.equals(not))).within(within);
        default: // sequence
          p = p.where(is(e -> takes(e, first)));
          for (int i = 1; i < events.size(); i++) {
            String step = events.get(i);
            p = p.notFollowedBy("u" + i).where(is(e -> e.name.equals(until)));
            p = p.followedBy("" + i).where(is(e -> takes(e, step)));
          }
          return p.within(within);
      }
    }
  }

  /** Decoder reads dwell's Event, protobuf, as far as patterns look at it. */
  private static final class Decoder implements KafkaRecordDeserializationSchema<Event> {
    private final Set<String> wanted; // events whose properties somebody looks at
    private transient ObjectMapper json;

    Decoder(Set<String> wanted) {
      this.wanted = wanted;
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> r, Collector<Event> out) throws IOException {
      byte[] b = r.value();
      Event e = new Event();
      int properties = 0;
      int length = 0;
      int[] at = {0};
      while (at[0] < b.length) {
        long tag = varint(b, at);
        if ((tag & 7) == 0) {
          long v = varint(b, at);
          if (tag >> 3 == 7) {
            e.time = v;
          }
          continue;
        }
        int n = (int) varint(b, at);
        switch ((int) (tag >> 3)) {
          case 3 -> e.user = new String(b, at[0], n, StandardCharsets.UTF_8);
          case 6 -> e.name = new String(b, at[0], n, StandardCharsets.UTF_8);
          case 9 -> {
            properties = at[0];
            length = n;
          }
          default -> {}
        }
        at[0] += n;
      }
      if (length > 0 && wanted.contains(e.name)) {
        if (json == null) {
          json = new ObjectMapper();
        }
        JsonNode p = json.readTree(b, properties, length);
        e.amount = p.path("amount").asDouble();
        e.win = "win".equals(p.path("result").asText());
      }
      out.collect(e);
    }

    private static long varint(byte[] b, int[] at) {
      long v = 0;
      for (int shift = 0; ; shift += 7) {
        byte next = b[at[0]++];
        v |= (long) (next & 0x7f) << shift;
        if (next >= 0) {
          return v;
        }
      }
    }

    @Override
    public TypeInformation<Event> getProducedType() {
      return Types.POJO(Event.class);
    }
  }

  private static Configuration settings(String dir) {
    Configuration c = new Configuration();
    c.setString("restart-strategy.type", "none");
    c.setString("execution.checkpointing.storage", "filesystem");
    c.setString("execution.checkpointing.dir", new File(dir, "checkpoints").toURI().toString());
    c.setString("state.backend.type", "hashmap");
    c.setString("taskmanager.memory.network.min", "512mb");
    c.setString("taskmanager.memory.network.max", "512mb");
    c.setString("io.tmp.dirs", dir);
    return c;
  }

  /** job makes the graph: one source, a branch for each campaign, one sink. */
  private static void job(StreamExecutionEnvironment env, String[] a, List<Plan> plans) {
    Set<String> wanted = new HashSet<>();
    plans.stream().filter(p -> p.where).forEach(p -> wanted.addAll(p.events));
    var source =
        KafkaSource.<Event>builder().setBootstrapServers(a[0]).setGroupId(a[1]).setTopics(a[2])
            .setStartingOffsets(OffsetsInitializer.earliest()).setDeserializer(new Decoder(wanted))
            .setProperty("max.poll.records", "10000").setProperty("commit.offsets.on.checkpoint", "true").build();
    var strategy = WatermarkStrategy.<Event>forBoundedOutOfOrderness(Duration.ofSeconds(10)).withTimestampAssigner((e, t) -> e.time);
    DataStream<Event> events = env.fromSource(source, strategy, "events");
    DataStream<String> all = null;
    for (Plan p : plans) {
      var own = events.filter((FilterFunction<Event>) p::reads).keyBy((KeySelector<Event, String>) e -> e.user);
      DataStream<String> matches = CEP.pattern(own, p.pattern()).select(new Match(p.name));
      all = all == null ? matches : all.union(matches);
    }
    all.sinkTo(
        KafkaSink.<String>builder().setBootstrapServers(a[0]).setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(a[1]).setProperty("transaction.timeout.ms", "60000")
            .setProperty("compression.type", "lz4").setProperty("batch.size", "262144")
            .setRecordSerializer(KafkaRecordSerializationSchema.<String>builder().setTopic(a[3]).setValueSerializationSchema(new SimpleStringSchema()).build())
            .build());
  }

  /** Match is what a match says: the campaign, the user, and when its last event was. */
  private static final class Match implements PatternSelectFunction<Event, String> {
    private final String campaign;

    Match(String campaign) {
      this.campaign = campaign;
    }

    @Override
    public String select(Map<String, List<Event>> match) {
      Event last = null;
      for (List<Event> step : match.values()) {
        for (Event e : step) {
          last = last == null || e.time > last.time ? e : last;
        }
      }
      return campaign + " " + last.user + " " + last.time;
    }
  }

  public static void main(String[] a) throws Exception {
    List<Plan> plans = new ArrayList<>();
    new ObjectMapper().readTree(new File(a[7])).forEach(n -> plans.add(new Plan(n)));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(Integer.parseInt(a[6]), settings(a[4]));
    env.enableCheckpointing(Long.parseLong(a[5]));
    job(env, a, plans);
    JobClient client = env.executeAsync("bench decide");
    client
        .getJobExecutionResult()
        .whenComplete(
            (r, e) -> {
              for (Throwable t = e; t != null; t = t.getCause()) {
                System.err.println(t);
              }
              Runtime.getRuntime().halt(1); // it has no end of its own
            });
    var os = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println("{\"cpu_ns\":" + os.getProcessCpuTime() + "}");
    }
    Runtime.getRuntime().halt(0);
  }
}
