-- 心跳表：证明副本已经同步到哪一刻 / Heartbeat: proves up to which moment the replica has followed.
-- MySQL 5.7 or later, MariaDB 10.2 or later; may be run again. Run it before login.sql, on the primary.
--
-- 主库每分钟写一次 (one row, that the primary writes each minute). Times are Beijing time in a DATETIME, whatever the
-- server's zone: a TIMESTAMP would change with the session that reads it (不要用 TIMESTAMP).
USE this4;  -- 改为 HIS 库名 / put the name of the HIS database here.
SET time_zone = '+08:00';
CREATE TABLE IF NOT EXISTS CARD_USAGE_HEARTBEAT (
    id tinyint NOT NULL PRIMARY KEY,
    beat_at datetime NOT NULL
);
INSERT IGNORE INTO CARD_USAGE_HEARTBEAT (id, beat_at) VALUES (1, NOW());
-- 需要 event_scheduler = ON (a setting of the server). The event keeps the zone above; replicas disable it.
CREATE EVENT IF NOT EXISTS card_usage_heartbeat
    ON SCHEDULE EVERY 1 MINUTE
    DO UPDATE CARD_USAGE_HEARTBEAT SET beat_at = NOW() WHERE id = 1;
-- 医院文件 (hospital's file): [his.freshness] probe = "heartbeat", table = "CARD_USAGE_HEARTBEAT", column = "beat_at".
