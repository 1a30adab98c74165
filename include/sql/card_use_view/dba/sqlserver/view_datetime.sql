-- 标准视图 V_CARD_USE，时间列为 datetime（以创星为例） / The contract view where times are datetime, over Trasen.
-- SQL Server 2008 R2 or later; may be run again, and rights that were granted stay.
--
-- 规则同 view.sql (the rules of a branch stand at the head of view.sql). Read with shape = "card_use_view". Current and
-- history tables are joined by the vendor's views (VI_MZ_GHXX, VI_MZ_FPB, VI_MZ_CFB): a moved row stays in the view.
-- Feeds that it lacks (reports, prescriptions, inpatients' payments) get a branch of their own after the same pattern.
USE [THIS4];  -- 改为 HIS 库名 / put the name of the HIS database here.
GO
IF DB_NAME() IN (N'master', N'model', N'msdb', N'tempdb')
BEGIN
    RAISERROR(N'Put the name of the HIS database into USE: nothing was done.', 16, 1);
    SET NOEXEC ON;
END;
GO
IF OBJECT_ID(N'dbo.VI_MZ_GHXX') IS NULL
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
       CAST(g.GHXXID AS nvarchar(64)) AS SOURCE_ID,
       g.GHSJ AS OCCURRED_AT,
       CAST(CASE WHEN g.YYLX <> 0 THEN '0101011' ELSE '0101012' END AS nvarchar(16)) AS SCENE,
       CAST(COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(g.GHKS AS varchar(20))) AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.NAME AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(b.KLX AS nvarchar(16)) AS CARD_TYPE,
       CAST(g.DJY AS nvarchar(16)) AS CHANNEL,
       CAST(NULL AS nvarchar(16)) AS COST_TYPE,
       CAST(p.SFZH AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.BRXM AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.BRXXID) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN g.BQXGHBZ = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VI_MZ_GHXX g
LEFT JOIN dbo.YY_BRXX p ON p.BRXXID = g.BRXXID
LEFT JOIN dbo.YY_KDJB b ON b.KDJID = g.KDJID
LEFT JOIN dbo.JC_DEPT_PROPERTY k ON k.DEPT_ID = g.GHKS
UNION ALL
SELECT CAST('payment' AS varchar(16)) AS FEED,
       CAST(f.FPID AS nvarchar(64)) AS SOURCE_ID,
       f.SFRQ AS OCCURRED_AT,
       CAST('0101051' AS nvarchar(16)) AS SCENE,
       CAST(COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(f.KSDM AS varchar(20))) AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.NAME AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(b.KLX AS nvarchar(16)) AS CARD_TYPE,
       CAST(f.SFY AS nvarchar(16)) AS CHANNEL,
       CAST(f.YBLX AS nvarchar(16)) AS COST_TYPE,
       CAST(p.SFZH AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.BRXM AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.BRXXID) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.JLZT = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VI_MZ_FPB f
LEFT JOIN dbo.YY_BRXX p ON p.BRXXID = f.BRXXID
LEFT JOIN dbo.YY_KDJB b ON b.KDJID = f.KDJID
LEFT JOIN dbo.JC_DEPT_PROPERTY k ON k.DEPT_ID = f.KSDM
WHERE f.BGHPBZ = 0
  AND f.JLZT IN (0, 1)
UNION ALL
SELECT CAST('payment' AS varchar(16)) AS FEED,
       CAST('YJ' + CAST(d.KJEID AS varchar(36)) AS nvarchar(64)) AS SOURCE_ID,
       d.DJSJ AS OCCURRED_AT,
       CAST('0101055' AS nvarchar(16)) AS SCENE,
       CAST(NULL AS nvarchar(32)) AS DEPARTMENT,
       CAST(NULL AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(b.KLX AS nvarchar(16)) AS CARD_TYPE,
       CAST(d.DJY AS nvarchar(16)) AS CHANNEL,
       CAST(NULL AS nvarchar(16)) AS COST_TYPE,
       CAST(p.SFZH AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.BRXM AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.BRXXID) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN d.BZFBZ = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.YY_KDJB_JE d
LEFT JOIN dbo.YY_KDJB b ON b.KDJID = d.KDJID
LEFT JOIN dbo.YY_BRXX p ON p.BRXXID = b.BRXXID
UNION ALL
SELECT CAST('dispensing' AS varchar(16)) AS FEED,
       CAST(f.CFID AS nvarchar(64)) AS SOURCE_ID,
       f.FYRQ AS OCCURRED_AT,
       CAST('010103' AS nvarchar(16)) AS SCENE,
       CAST(COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(f.KSDM AS varchar(20))) AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.NAME AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST((SELECT MAX(b.KLX) FROM dbo.VI_MZ_GHXX r JOIN dbo.YY_KDJB b ON b.KDJID = r.KDJID
             WHERE r.GHXXID = f.GHXXID) AS nvarchar(16)) AS CARD_TYPE,
       CAST(f.FYR AS nvarchar(16)) AS CHANNEL,
       CAST(NULL AS nvarchar(16)) AS COST_TYPE,
       CAST(p.SFZH AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.BRXM AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.BRXXID) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN f.BSCBZ = 1 OR f.BFYBZ = 0 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VI_MZ_CFB f
LEFT JOIN dbo.YY_BRXX p ON p.BRXXID = f.BRXXID
LEFT JOIN dbo.JC_DEPT_PROPERTY k ON k.DEPT_ID = f.KSDM
WHERE f.XMLY = 1
UNION ALL
SELECT CAST('admission' AS varchar(16)) AS FEED,
       CAST(s.INPATIENT_ID AS nvarchar(64)) AS SOURCE_ID,
       s.IN_DATE AS OCCURRED_AT,
       CAST('010109' AS nvarchar(16)) AS SCENE,
       CAST(COALESCE(NULLIF(RTRIM(k.dept_hqms_code), ''), CAST(s.IN_DEPT AS varchar(9))) AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.NAME AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(b.KLX AS nvarchar(16)) AS CARD_TYPE,
       CAST(s.DJY AS nvarchar(16)) AS CHANNEL,
       CAST(NULL AS nvarchar(16)) AS COST_TYPE,
       CAST(p.SFZH AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.BRXM AS nvarchar(100)) AS NAME,
       CAST((SELECT MAX(c.qrCodeText) FROM dbo.xt_brxx c WHERE c.brid = p.BRXXID) AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN s.FLAG = 10 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.VI_ZY_VINPATIENT_ALL s
LEFT JOIN dbo.YY_BRXX p ON p.BRXXID = s.PATIENT_ID
LEFT JOIN dbo.YY_KDJB b ON b.KDJID = s.KDJID
LEFT JOIN dbo.JC_DEPT_PROPERTY k ON k.DEPT_ID = s.IN_DEPT
WHERE s.BABY_ID = 0;
GO
SET NOEXEC OFF;
GO
