-- +goose NO TRANSACTION
-- +goose Up

CREATE MATERIALIZED VIEW IF NOT EXISTS inbox_to_events TO events AS
SELECT tenant, event, type, ts, received_at, n, event_id, user, path, referrer, user_agent, address, source, properties,
    src_topic, src_partition, src_offset
FROM inbox
COMMENT 'Fills events';

CREATE MATERIALIZED VIEW IF NOT EXISTS inbox_to_campaign_1m TO campaign_1m AS
SELECT i.tenant AS tenant, i.event AS event, toDateTime(toStartOfMinute(i.ts), 'UTC') AS t,
    '' AS campaign, '' AS channel, '' AS variant,
    sum(i.n) AS events, uniqCombined64State(12)(i.user) AS users
FROM inbox AS i
GROUP BY tenant, event, t
COMMENT 'Fills campaign_1m with events';

CREATE MATERIALIZED VIEW IF NOT EXISTS verdicts_to_campaign_1m TO campaign_1m AS
SELECT v.tenant AS tenant, concat('verdict:', lower(v.verdict)) AS event, toDateTime(toStartOfMinute(v.decided_at), 'UTC') AS t,
    v.campaign AS campaign, v.channel AS channel, v.variant AS variant,
    count() AS events, uniqCombined64State(12)(v.user) AS users
FROM verdicts AS v
GROUP BY tenant, event, t, campaign, channel, variant
COMMENT 'Fills campaign_1m with verdicts';

CREATE VIEW IF NOT EXISTS campaigns_by_minute AS
SELECT c.tenant AS tenant, c.event AS event, c.t AS t, c.campaign AS campaign, c.channel AS channel, c.variant AS variant,
    sum(c.events) AS events, uniqCombined64Merge(12)(c.users) AS users
FROM campaign_1m AS c
GROUP BY tenant, event, t, campaign, channel, variant
COMMENT 'Events, verdicts and different users by minute';
