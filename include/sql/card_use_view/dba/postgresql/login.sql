-- 只读登录：仅可查询视图和心跳表，别无其他权限 / A role that reads the view and the heartbeat, and nothing else.
-- PostgreSQL 10 or later; may be run again. Run it after heartbeat.sql and view.sql.
--
-- 角色先无密码，无法登录 (the role has no password at first, so nobody logs in with it). Then, in psql:
--   \password card_usage_reader
DO $$
BEGIN
    IF current_database() IN ('postgres', 'template1') THEN
        RAISE EXCEPTION 'connect to the HIS database first: nothing was done';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'card_usage_reader') THEN
        CREATE ROLE card_usage_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD NULL;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO card_usage_reader', current_database());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO card_usage_reader', current_schema());
    IF to_regclass('v_card_use') IS NOT NULL THEN
        GRANT SELECT ON v_card_use TO card_usage_reader;
    END IF;
    IF to_regclass('card_usage_heartbeat') IS NOT NULL THEN
        GRANT SELECT ON card_usage_heartbeat TO card_usage_reader;
    END IF;
END
$$;
