-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS inbox (
    tenant String COMMENT 'Whose customer the user is',
    event String COMMENT 'Name of the event, such as Order Completed',
    type String COMMENT 'Segment call: track, page, screen, identify, group, alias',
    ts DateTime64(3, 'UTC') COMMENT 'When it happened, by the client',
    received_at DateTime64(3, 'UTC') COMMENT 'When the gateway took it',
    n UInt32 COMMENT 'Events that this row stands for',
    event_id String COMMENT 'Message id, unique per user',
    user String COMMENT 'User id, or the anonymous id',
    path String COMMENT 'Path of the page',
    referrer String COMMENT 'Page that led there',
    user_agent String COMMENT 'Browser as it names itself',
    address String COMMENT 'Network address, truncated to /24 or /48',
    source String COMMENT 'Id of the write key, or replay:NAME',
    properties String COMMENT 'The event''s own fields, a JSON object',
    src_topic String COMMENT 'Topic of the event that this came from',
    src_partition Int32 COMMENT 'Partition of that event',
    src_offset Int64 COMMENT 'Offset of that event'
) ENGINE = Null
COMMENT 'Where facts come in; holds nothing, its views fill events and the cubes';

CREATE TABLE IF NOT EXISTS events (
    tenant LowCardinality(String) COMMENT 'Whose customer the user is',
    event LowCardinality(String) COMMENT 'Name of the event, such as Order Completed',
    type LowCardinality(String) COMMENT 'Segment call: track, page, screen, identify, group, alias',
    ts DateTime64(3, 'UTC') COMMENT 'When it happened, by the client' CODEC(Delta(8), ZSTD(1)),
    received_at DateTime64(3, 'UTC') COMMENT 'When the gateway took it' CODEC(Delta(8), ZSTD(1)),
    n UInt32 COMMENT 'Events that this row stands for: sum(n), not count()' CODEC(T64, ZSTD(1)),
    event_id String COMMENT 'Message id, unique per user' CODEC(ZSTD(1)),
    user String COMMENT 'User id, or the anonymous id' CODEC(ZSTD(1)),
    path String COMMENT 'Path of the page' CODEC(ZSTD(1)),
    referrer String COMMENT 'Page that led there' CODEC(ZSTD(1)),
    user_agent String COMMENT 'Browser as it names itself' CODEC(ZSTD(1)),
    address String COMMENT 'Network address, truncated to /24 or /48' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'Id of the write key, or replay:NAME',
    properties String COMMENT 'The event''s own fields, a JSON object' CODEC(ZSTD(1)),
    src_topic LowCardinality(String) COMMENT 'Topic of the event that this came from',
    src_partition Int32 COMMENT 'Partition of that event' CODEC(T64, ZSTD(1)),
    src_offset Int64 COMMENT 'Offset of that event' CODEC(DoubleDelta, ZSTD(1)),
    status UInt16 ALIAS toUInt16(JSONExtractUInt(properties, 'status')) COMMENT 'HTTP status, where the event has one',
    bytes UInt64 ALIAS JSONExtractUInt(properties, 'bytes') COMMENT 'Size of the answer, where the event has one, bytes'
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts)
ORDER BY (tenant, event, toStartOfHour(ts), cityHash64(user), ts)
TTL toDateTime(received_at) + INTERVAL 30 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1
COMMENT 'Every event once, for 30 days after it was received';

CREATE TABLE IF NOT EXISTS campaign_1m (
    tenant LowCardinality(String) COMMENT 'Whose customers they are',
    event LowCardinality(String) COMMENT 'Name of the event, or verdict:NAME, such as verdict:sent',
    t DateTime('UTC') COMMENT 'Minute' CODEC(Delta(4), ZSTD(1)),
    campaign LowCardinality(String) COMMENT 'Campaign; empty for plain events',
    channel LowCardinality(String) COMMENT 'popup, push, webhook, email, topic; empty for plain events',
    variant LowCardinality(String) COMMENT 'Variant of the campaign; empty for plain events',
    events SimpleAggregateFunction(sum, UInt64) COMMENT 'How many',
    users AggregateFunction(uniqCombined64(12), String) COMMENT 'Different users, a state: use campaigns_by_minute'
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(t)
ORDER BY (tenant, event, t, campaign, channel, variant)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Events and verdicts by minute; read it through campaigns_by_minute';

CREATE TABLE IF NOT EXISTS verdicts (
    id String COMMENT 'Id, the same on every replay' CODEC(ZSTD(1)),
    tenant LowCardinality(String) COMMENT 'Whose customer the user is',
    user String COMMENT 'User id, or the anonymous id' CODEC(ZSTD(1)),
    campaign LowCardinality(String) COMMENT 'Campaign; empty for a verdict on the event itself',
    version LowCardinality(String) COMMENT 'Version of the campaign that decided',
    verdict LowCardinality(String) COMMENT 'DUPLICATE LATE AUDIENCE SUPPRESSED REENTRY CANCELLED QUIET PRIORITY CAP CONTROL EXPIRED SENT SEEN',
    match_id String COMMENT 'Match of the pattern' CODEC(ZSTD(1)),
    action_id String COMMENT 'Action, if there is one' CODEC(ZSTD(1)),
    channel LowCardinality(String) COMMENT 'popup, push, webhook, email, topic',
    variant LowCardinality(String) COMMENT 'Variant of the campaign',
    event_id String COMMENT 'Event that led to it' CODEC(ZSTD(1)),
    event_ids Array(String) COMMENT 'All events of the match, in time order' CODEC(ZSTD(1)),
    event_time DateTime64(3, 'UTC') COMMENT 'When the last event of the match happened' CODEC(Delta(8), ZSTD(1)),
    decided_at DateTime64(3, 'UTC') COMMENT 'Logical time of the verdict' CODEC(Delta(8), ZSTD(1)),
    detail String COMMENT 'The gate''s numbers, a JSON object' CODEC(ZSTD(1)),
    src_topic LowCardinality(String) COMMENT 'Topic of the record that led to it',
    src_partition Int32 COMMENT 'Partition of that record' CODEC(T64, ZSTD(1)),
    src_offset Int64 COMMENT 'Offset of that record' CODEC(ZSTD(1)),
    logged_at DateTime64(3, 'UTC') COMMENT 'When the verdict was written to Kafka' CODEC(Delta(8), ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMM(decided_at)
ORDER BY (tenant, campaign, verdict, decided_at, user)
TTL toDateTime(logged_at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Why an action was taken or was not, for 90 days';

CREATE TABLE IF NOT EXISTS actions (
    action_id String COMMENT 'Id, the same on every replay' CODEC(ZSTD(1)),
    tenant LowCardinality(String) COMMENT 'Whose customer the user is',
    user String COMMENT 'User to reach' CODEC(ZSTD(1)),
    campaign LowCardinality(String) COMMENT 'Campaign that decided',
    version LowCardinality(String) COMMENT 'Version of the campaign',
    variant LowCardinality(String) COMMENT 'Variant of the campaign',
    channel LowCardinality(String) COMMENT 'popup, push, webhook, email, topic',
    content LowCardinality(String) COMMENT 'What to show, such as popup/boost50',
    slot LowCardinality(String) COMMENT 'Where to show it',
    priority Int32 COMMENT 'The higher one wins',
    decided_at DateTime64(3, 'UTC') COMMENT 'Logical time of the decision' CODEC(Delta(8), ZSTD(1)),
    expires_at DateTime64(3, 'UTC') COMMENT 'When it must no longer be shown; 1970: never' CODEC(Delta(8), ZSTD(1)),
    match_id String COMMENT 'Match of the pattern' CODEC(ZSTD(1)),
    event_id String COMMENT 'Event that led to it' CODEC(ZSTD(1)),
    payload String COMMENT 'What the channel shows, a JSON object' CODEC(ZSTD(1)),
    logged_at DateTime64(3, 'UTC') COMMENT 'When the action was written to Kafka' CODEC(Delta(8), ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(decided_at)
ORDER BY (tenant, campaign, toDate(decided_at), action_id)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'What was asked of the channels; use FINAL for exact counts';

CREATE TABLE IF NOT EXISTS exposure_ledger (
    id String COMMENT 'page_view/slot/fill/n, unique for a user' CODEC(ZSTD(1)),
    tenant LowCardinality(String) COMMENT 'Whose customer the user is',
    user String COMMENT 'User who saw it' CODEC(ZSTD(1)),
    page_view String COMMENT 'Page view' CODEC(ZSTD(1)),
    slot LowCardinality(String) COMMENT 'Slot on the page',
    fill String COMMENT 'What filled the slot' CODEC(ZSTD(1)),
    n UInt32 COMMENT 'Number of this entry within its fill',
    campaign LowCardinality(String) COMMENT 'Campaign of the fill',
    creative LowCardinality(String) COMMENT 'Creative of the fill',
    placement LowCardinality(String) COMMENT 'Placement of the slot',
    sec_from Int64 COMMENT 'Exposed seconds before this entry' CODEC(T64, ZSTD(1)),
    sec_to Int64 COMMENT 'Exposed seconds with this entry: it adds sec_to - sec_from' CODEC(T64, ZSTD(1)),
    exposed_ms Int64 COMMENT 'Exposed so far, milliseconds' CODEC(T64, ZSTD(1)),
    full_ms Int64 COMMENT 'In full view so far, milliseconds' CODEC(T64, ZSTD(1)),
    engaged_ms Int64 COMMENT 'With an active user so far, milliseconds' CODEC(T64, ZSTD(1)),
    max_run_ms Int64 COMMENT 'Longest uninterrupted exposure so far, milliseconds' CODEC(T64, ZSTD(1)),
    tail_ms Int64 COMMENT 'Credited after the last frame, milliseconds' CODEC(T64, ZSTD(1)),
    overlap_ms Int64 COMMENT 'Not credited because pages overlapped, milliseconds' CODEC(T64, ZSTD(1)),
    viewable Bool COMMENT 'It met the viewability rule',
    viewable_ct_ms Int64 COMMENT 'Client clock when it did, milliseconds' CODEC(T64, ZSTD(1)),
    billable_s Int64 COMMENT 'Seconds to bill so far' CODEC(T64, ZSTD(1)),
    first_seq UInt32 COMMENT 'First frame of the fill',
    last_seq UInt32 COMMENT 'Last frame of this entry',
    closed Bool COMMENT 'No entry of this fill follows',
    flags Array(String) COMMENT 'What was odd about it',
    rules_hash LowCardinality(String) COMMENT 'Policy that computed it',
    started_at DateTime64(3, 'UTC') COMMENT 'Server time of the fill''s first frame' CODEC(Delta(8), ZSTD(1)),
    updated_at DateTime64(3, 'UTC') COMMENT 'Logical time of this entry' CODEC(Delta(8), ZSTD(1)),
    src_topic LowCardinality(String) COMMENT 'Topic of the frame that made it',
    src_partition Int32 COMMENT 'Partition of that frame' CODEC(T64, ZSTD(1)),
    src_offset Int64 COMMENT 'Offset of that frame' CODEC(ZSTD(1)),
    logged_at DateTime64(3, 'UTC') COMMENT 'When the entry was written to Kafka' CODEC(Delta(8), ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant, placement, user, id)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Seconds seen, entry by entry; use FINAL for exact sums';

CREATE TABLE IF NOT EXISTS dead_letters (
    topic LowCardinality(String) COMMENT 'Where the record lies; file:NAME for a file',
    partition Int32 COMMENT 'Its partition',
    offset Int64 COMMENT 'Its offset; a file''s line',
    key String COMMENT 'Its key' CODEC(ZSTD(1)),
    value String COMMENT 'The record itself' CODEC(ZSTD(1)),
    rejected_by LowCardinality(String) COMMENT 'Processor, sink or replay that rejected it',
    error String COMMENT 'Why' CODEC(ZSTD(1)),
    stack String COMMENT 'Where in the code, after a panic' CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') COMMENT 'Time of the rejection; of the record, if a sink rejected it' CODEC(Delta(8), ZSTD(1)),
    logged_at DateTime64(3, 'UTC') COMMENT 'When the rejection was written to Kafka' CODEC(Delta(8), ZSTD(1))
) ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset, rejected_by)
TTL toDateTime(logged_at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Records that could not be processed, for 90 days';

CREATE TABLE IF NOT EXISTS sink_ledger (
    pipeline LowCardinality(String) COMMENT 'Pipeline of the sink',
    table LowCardinality(String) COMMENT 'Table that the rows were inserted into',
    topic LowCardinality(String) COMMENT 'Topic that the records came from',
    topic_id LowCardinality(String) COMMENT 'Id of that topic',
    partition Int32 COMMENT 'Partition',
    first_offset Int64 COMMENT 'Offset of the range''s first record' CODEC(ZSTD(1)),
    last_offset Int64 COMMENT 'Offset of the range''s last record' CODEC(ZSTD(1)),
    records UInt32 COMMENT 'Records that became rows: poison and markers are not among them',
    rows UInt32 COMMENT 'Rows inserted',
    blocks UInt32 COMMENT 'Days that the rows lie in: what the insert takes of the deduplication window',
    sealed_at DateTime64(3, 'UTC') COMMENT 'When the newest row was received' CODEC(Delta(8), ZSTD(1))
) ENGINE = ReplacingMergeTree
ORDER BY (pipeline, topic_id, partition, first_offset, last_offset)
TTL toDateTime(sealed_at) + INTERVAL 35 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000, enable_block_number_column = 1
COMMENT 'Receipt of each insert that landed everywhere, for longer than its records are in Kafka';
