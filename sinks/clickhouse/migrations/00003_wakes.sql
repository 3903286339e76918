-- +goose NO TRANSACTION
-- +goose Up

-- Rejected wakes of a partition have no offset that tells them apart: the row's key and the deadline do.
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS wake_key String COMMENT 'Key of the row whose wake was rejected; empty: it was a record' CODEC(ZSTD(1)) AFTER key,
    ADD COLUMN IF NOT EXISTS wake_at DateTime64(3, 'UTC') COMMENT 'Deadline of the rejected wake; 1970: it was a record' CODEC(ZSTD(1)) AFTER wake_key,
    MODIFY ORDER BY (topic, partition, offset, rejected_by, wake_key, wake_at);

ALTER TABLE dead_letters
    COMMENT COLUMN topic 'Where the record lies; file:NAME for a file; the processor''s table for a wake',
    COMMENT COLUMN partition 'Its partition; the row''s for a wake',
    COMMENT COLUMN offset 'Its offset; a file''s line; -1 for a wake';

ALTER TABLE dead_letters MODIFY COMMENT 'Records, and wakes of rows, that could not be processed, for 90 days';

ALTER TABLE verdicts
    COMMENT COLUMN verdict 'INVALID SUPPRESSED DUPLICATE LATE DROPPED OVERFULL AUDIENCE REENTRY DELAY CANCELLED QUIET PRIORITY CAP CONTROL EXPIRED SENT PUSHED SEEN CLICKED DISMISSED FAILED CONVERTED ERASED LIFTED';
