-- 标准视图 V_CARD_USE（以卫宁 THIS4 为例，其他厂商照此改写） / The contract view, as a worked example over Winning THIS4.
-- SQL Server 2008 R2 or later; may be run again, and rights that were granted stay.
--
-- 由院方 DBA 在 HIS 库中执行，副本随主库 (run in the HIS database, on the primary; replicas follow). docs/his-contract.md
-- says what each column means. Times are text here, char(16) yyyymmddhh:mm:ss: shape = "card_use_view_char16". Where
-- the tables keep datetime, hand that column on as it is: view_datetime.sql, shape = "card_use_view". Rules for a branch:
--   * FEED is a constant, one branch (or more) a feed, joined by UNION ALL;
--   * OCCURRED_AT is the indexed column itself, of one type in all branches: no function, no CAST. A computed column on
--     a vendor's table is no way out: SQL Server then refuses the HIS's own INSERT from a session of other SET options
--     (error 1934) or without a list of columns (213), and the HIS stands still (不要在厂商表上加计算列);
--   * 退费、退号、作废的记录保留并置 VOIDED = 1: refunded, returned, cancelled ones have VOIDED = 1 and never leave the view;
--   * 红冲（负数）记录不取: reversal rows (negative amounts) are not in it;
--   * 年度表、历史表必须并入: what a nightly job moves to year or history tables stays in the view, by the vendor's own views
--     over both (VW_GHZDK, VW_MZBRJSK, VW_MZHJCFK, VW_MZCFK), never by the current table alone;
--   * one row per SOURCE_ID within a FEED, also where a side table knows a patient twice: a subquery with MAX;
--   * 身份证号只在有效时才用来关联: a join on an ID number demands a valid one, '' or 0 would find a stranger's card.
-- Side tables have the type and collation of what they are joined to (xt_brxx: brid as patid, sfzh varchar(18),
-- qrCodeText varchar(128)), or indexes are of no use: prerequisites.sql shows them.
USE [THIS4];  -- 改为 HIS 库名 / put the name of the HIS database here.
GO
IF DB_NAME() IN (N'master', N'model', N'msdb', N'tempdb')
BEGIN
    RAISERROR(N'Put the name of the HIS database into USE: nothing was done.', 16, 1);
    SET NOEXEC ON;
END;
GO
IF OBJECT_ID(N'dbo.VW_GHZDK') IS NULL
BEGIN
    RAISERROR(N'The tables of the example are not in this database: nothing was done.', 16, 1);
    SET NOEXEC ON;
END;
GO
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO
IF OBJECT_ID(N'dbo.V_CARD_USE', N'V') IS NULL
    EXEC (N'CREATE VIEW dbo.V_CARD_USE AS SELECT 1 AS NOTHING_YET');
GO
ALTER VIEW dbo.V_CARD_USE
AS
SELECT CAST('registration' AS varchar(16)) AS FEED,
       CAST(g.xh AS nvarchar(64)) AS SOURCE_ID,
       g.ghrq AS OCCURRED_AT,
       CAST(CASE g.ghfs WHEN 1 THEN '0101011' WHEN 2 THEN '0101015' ELSE '0101012' END AS nvarchar(16)) AS SCENE,
       CAST(g.ksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(g.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(g.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(g.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.patid) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN g.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VW_GHZDK g
LEFT JOIN dbo.SF_BRXXK p ON p.patid = g.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = g.ksdm
WHERE g.jlzt IN (0, 1)
UNION ALL
SELECT CAST('prescription' AS varchar(16)) AS FEED,
       CAST(f.xh AS nvarchar(64)) AS SOURCE_ID,
       f.lrrq AS OCCURRED_AT,
       CAST('010106' AS nvarchar(16)) AS SCENE,
       CAST(f.ksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(p.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(f.czyh AS nvarchar(16)) AS CHANNEL,
       CAST(NULL AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.patid) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.jlzt IN (2, 4) THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VW_MZHJCFK f
LEFT JOIN dbo.SF_BRXXK p ON p.patid = f.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = f.ksdm
WHERE f.cflx IN (1, 2, 3)
UNION ALL
SELECT CAST('dispensing' AS varchar(16)) AS FEED,
       CAST(f.xh AS nvarchar(64)) AS SOURCE_ID,
       f.fyrq AS OCCURRED_AT,
       CAST('010103' AS nvarchar(16)) AS SCENE,
       CAST(f.ksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(f.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(f.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(f.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.patid) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VW_MZCFK f
LEFT JOIN dbo.SF_BRXXK p ON p.patid = f.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = f.ksdm
WHERE f.fybz = 1
  AND f.jlzt IN (0, 1)
UNION ALL
SELECT CAST('payment' AS varchar(16)) AS FEED,
       CAST(RTRIM(j.sjh) AS nvarchar(64)) AS SOURCE_ID,
       j.sfrq AS OCCURRED_AT,
       CAST('0101051' AS nvarchar(16)) AS SCENE,
       CAST(j.sfksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(j.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(j.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(j.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.patid) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN j.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VW_MZBRJSK j
LEFT JOIN dbo.SF_BRXXK p ON p.patid = j.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = j.sfksdm
WHERE j.ghsfbz = 1
  AND j.ybjszt = 2
  AND j.jlzt IN (0, 1)
UNION ALL
SELECT CAST('payment' AS varchar(16)) AS FEED,
       CAST('YJ' + CAST(d.xh AS varchar(20)) AS nvarchar(64)) AS SOURCE_ID,
       d.lrrq AS OCCURRED_AT,
       CAST('0101055' AS nvarchar(16)) AS SCENE,
       CAST(NULL AS nvarchar(32)) AS DEPARTMENT,
       CAST(NULL AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(d.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(d.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(d.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.patid) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN d.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.YY_JZBRYJK d
LEFT JOIN dbo.SF_BRXXK p ON p.patid = d.patid
WHERE d.jlzt IN (0, 1)
UNION ALL
SELECT CAST('ward_payment' AS varchar(16)) AS FEED,
       CAST(j.xh AS nvarchar(64)) AS SOURCE_ID,
       j.jsrq AS OCCURRED_AT,
       CAST('0101053' AS nvarchar(16)) AS SCENE,
       CAST(s.ksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(j.jsczyh AS nvarchar(16)) AS CHANNEL,
       CAST(s.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN j.jlzt <> 0 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.ZY_BRJSK j
LEFT JOIN dbo.ZY_BRSYK s ON s.syxh = j.syxh
LEFT JOIN dbo.ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = s.ksdm
WHERE j.ybjszt = 2
  AND j.zje >= 0
UNION ALL
SELECT CAST('ward_payment' AS varchar(16)) AS FEED,
       CAST('YJ' + CAST(d.xh AS varchar(20)) AS nvarchar(64)) AS SOURCE_ID,
       d.lrrq AS OCCURRED_AT,
       CAST('0101056' AS nvarchar(16)) AS SCENE,
       CAST(s.ksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(d.czyh AS nvarchar(16)) AS CHANNEL,
       CAST(s.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN d.jlzt <> 0 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.ZYB_BRYJK d
LEFT JOIN dbo.ZY_BRSYK s ON s.syxh = d.syxh
LEFT JOIN dbo.ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = s.ksdm
WHERE d.czlb = 0
  AND d.jje > 0
UNION ALL
SELECT CAST('examination' AS varchar(16)) AS FEED,
       CAST(RTRIM(r.repno) AS nvarchar(64)) AS SOURCE_ID,
       r.pubtime AS OCCURRED_AT,
       CAST('0101081' AS nvarchar(16)) AS SCENE,
       CAST(r.sqksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(r.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(r.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(r.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.patid) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VW_YJ_REPORT r
LEFT JOIN dbo.SF_BRXXK p ON p.patid = r.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = r.sqksdm
WHERE r.replb = 'JC'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT CAST('laboratory' AS varchar(16)) AS FEED,
       CAST(RTRIM(r.repno) AS nvarchar(64)) AS SOURCE_ID,
       r.pubtime AS OCCURRED_AT,
       CAST('0101082' AS nvarchar(16)) AS SCENE,
       CAST(r.sqksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(r.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(r.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(r.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.patid) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VW_YJ_REPORT r
LEFT JOIN dbo.SF_BRXXK p ON p.patid = r.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = r.sqksdm
WHERE r.replb = 'JY'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT CAST('admission' AS varchar(16)) AS FEED,
       CAST(s.syxh AS nvarchar(64)) AS SOURCE_ID,
       s.ryrq AS OCCURRED_AT,
       CAST('010109' AS nvarchar(16)) AS SCENE,
       CAST(s.ksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(s.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(s.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(s.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.sfzh = p.sfzh
          AND RTRIM(p.sfzh) LIKE '__________________'
          AND SUBSTRING(p.sfzh, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')
          AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
          AND SUBSTRING(p.sfzh, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')
          AND SUBSTRING(p.sfzh, 13, 1) IN ('0', '1', '2', '3')) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN s.brzt = 9 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.ZY_BRSYK s
LEFT JOIN dbo.ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = s.ksdm;
GO
-- 各分支不取的记录 (what the branches leave out): reversal rows (jlzt 2), pre-registrations (jlzt 8), charges that are the
-- fee of a registration (ghsfbz not 1), prescriptions that nobody has handed out (fybz 0). A cancelled stay is brzt 9.
-- 住院病人另有编号，健康卡按身份证号关联 (inpatients have numbers of their own: their health card is found by sfzh).
-- 充值、预交金的主键加前缀 YJ (top-ups and deposits have their key marked YJ, so that it never meets a receipt's).
-- cflx, czlb and the states of prescriptions and inpatients are those of public code for THIS4: confirm them.
SET NOEXEC OFF;
GO
