-- 只读登录：仅可查询视图和心跳表，别无其他权限 / A login that reads the view and the heartbeat, and nothing else.
-- MySQL 5.7 or later, MariaDB 10.2 or later. Run it after heartbeat.sql and view.sql.
USE this4;  -- 改为 HIS 库名 / put the name of the HIS database here.
-- 密码填在两个引号之间；不填则此句报错 (put a long random password where the comment stands: without one the statement fails).
CREATE USER IF NOT EXISTS 'card_usage_reader'@'%' IDENTIFIED BY /* 'password' */;
GRANT SELECT ON V_CARD_USE TO 'card_usage_reader'@'%';
SET @heartbeat = (
    SELECT COUNT(*) FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_name = 'CARD_USAGE_HEARTBEAT'
);
SET @grant = IF(@heartbeat = 0, 'DO 0', 'GRANT SELECT ON CARD_USAGE_HEARTBEAT TO ''card_usage_reader''@''%''');
PREPARE grant_heartbeat FROM @grant;
EXECUTE grant_heartbeat;
DEALLOCATE PREPARE grant_heartbeat;
