-- 心跳表：证明副本已经同步到哪一刻 / Heartbeat: proves up to which moment the replica has followed.
-- PostgreSQL 10 or later; may be run again. Run it before login.sql, on the primary, in the HIS database.
--
-- 流复制可用 probe = "replication"，不需要心跳表 (streaming replication needs none of this: probe = "replication"). For logical
-- replication and for tools that copy. Times are Beijing time in a timestamp without time zone (不要用 timestamptz).
DO $$
BEGIN
    IF current_database() IN ('postgres', 'template1') THEN
        RAISE EXCEPTION 'connect to the HIS database first: nothing was done';
    END IF;
END
$$;
CREATE TABLE IF NOT EXISTS card_usage_heartbeat (
    id smallint NOT NULL PRIMARY KEY,
    beat_at timestamp NOT NULL
);
INSERT INTO card_usage_heartbeat (id, beat_at)
VALUES (1, clock_timestamp() AT TIME ZONE 'Asia/Shanghai')
ON CONFLICT (id) DO NOTHING;
-- 每分钟执行一次 (each minute): by pg_cron if it is there, else by cron on the primary with psql and the UPDATE below.
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_cron') THEN
        PERFORM cron.schedule('card_usage_heartbeat', '* * * * *',
            'UPDATE card_usage_heartbeat SET beat_at = clock_timestamp() AT TIME ZONE ''Asia/Shanghai'' WHERE id = 1');
    ELSE
        RAISE NOTICE 'no pg_cron: let cron run, each minute: UPDATE card_usage_heartbeat '
            'SET beat_at = clock_timestamp() AT TIME ZONE ''Asia/Shanghai'' WHERE id = 1';
    END IF;
END
$$;
-- 医院文件 (hospital's file): [his.freshness] probe = "heartbeat", table = "card_usage_heartbeat", column = "beat_at".
