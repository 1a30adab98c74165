-- V_CARD_USE: the contract view, as a worked example over Winning THIS4 tables. 标准视图（以卫宁 THIS4 为例，其他厂商照此改写）。
--
-- Run by the hospital's DBA in the HIS database (on the primary; the replica follows). docs/his-contract.md says what
-- each column means. Rules for a branch of your own:
--   * FEED is a constant, one branch (or more) a feed, joined by UNION ALL;
--   * OCCURRED_AT is the indexed column itself or a cast of another type: for text dates keep the window searchable by
--     a persisted computed column with an index (example at the end), never by a function in the view;
--   * successful uses AND refunded ones: refunded, returned, cancelled have VOIDED = 1, and never leave the view;
--   * reversal rows (negative amounts) are not in it; one row per SOURCE_ID within a FEED, also
--     where a side table knows a patient twice.
-- 由院方 DBA 在 HIS 库中执行。退费、退号、作废的记录保留在视图中并置 VOIDED = 1，红冲（负数）记录不取。
CREATE OR ALTER VIEW dbo.V_CARD_USE
AS
SELECT CAST('registration' AS varchar(16)) AS FEED,
       CAST(g.xh AS nvarchar(64)) AS SOURCE_ID,
       g.ghrq_dt AS OCCURRED_AT,
       CAST(CASE g.ghfs WHEN 1 THEN '0101011' WHEN 2 THEN '0101015' ELSE '0101012' END AS nvarchar(16)) AS SCENE,
       CAST(g.ksdm AS nvarchar(32)) AS DEPARTMENT,
       CAST(k.name AS nvarchar(64)) AS DEPARTMENT_NAME,
       CAST(g.cardtype AS nvarchar(16)) AS CARD_TYPE,
       CAST(g.qdlx AS nvarchar(16)) AS CHANNEL,
       CAST(g.ybdm AS nvarchar(16)) AS COST_TYPE,
       CAST(p.sfzh AS nvarchar(32)) AS ID_NUMBER,
       CAST(p.hzxm AS nvarchar(100)) AS NAME,
       CAST(c.qrCodeText AS nvarchar(512)) AS QR_CODE_TEXT,
       CAST(CASE WHEN g.jlzt = 1 THEN 1 ELSE 0 END AS int) AS VOIDED
FROM dbo.GH_GHZDK g
LEFT JOIN dbo.SF_BRXXK p ON p.patid = g.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = g.ksdm
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = p.patid
WHERE g.jlzt IN (0, 1)
UNION ALL
SELECT CAST('payment' AS varchar(16)),
       CAST(j.sjh AS nvarchar(64)),
       j.sfrq_dt,
       CAST('0101051' AS nvarchar(16)),
       CAST(j.sfksdm AS nvarchar(32)),
       CAST(k.name AS nvarchar(64)),
       CAST(j.cardtype AS nvarchar(16)),
       CAST(j.qdlx AS nvarchar(16)),
       CAST(j.ybdm AS nvarchar(16)),
       CAST(p.sfzh AS nvarchar(32)),
       CAST(p.hzxm AS nvarchar(100)),
       CAST(c.qrCodeText AS nvarchar(512)),
       CAST(CASE WHEN j.jlzt = 1 THEN 1 ELSE 0 END AS int)
FROM dbo.SF_BRJSK j
LEFT JOIN dbo.SF_BRXXK p ON p.patid = j.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = j.sfksdm
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = p.patid
WHERE j.ghsfbz = 1
  AND j.ybjszt = 2
  AND j.jlzt IN (0, 1)
UNION ALL
SELECT CAST('payment' AS varchar(16)),
       CAST(REPLACE('YJ*', '*', CAST(d.xh AS varchar(20))) AS nvarchar(64)),
       d.lrrq_dt,
       CAST('0101055' AS nvarchar(16)),
       CAST(NULL AS nvarchar(32)),
       CAST(NULL AS nvarchar(64)),
       CAST(d.cardtype AS nvarchar(16)),
       CAST(d.qdlx AS nvarchar(16)),
       CAST(d.ybdm AS nvarchar(16)),
       CAST(p.sfzh AS nvarchar(32)),
       CAST(p.hzxm AS nvarchar(100)),
       CAST(c.qrCodeText AS nvarchar(512)),
       CAST(CASE WHEN d.jlzt = 1 THEN 1 ELSE 0 END AS int)
FROM dbo.YY_JZBRYJK d
LEFT JOIN dbo.SF_BRXXK p ON p.patid = d.patid
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = p.patid
WHERE d.jlzt IN (0, 1)
UNION ALL
SELECT CAST('dispensing' AS varchar(16)),
       CAST(f.xh AS nvarchar(64)),
       f.fyrq_dt,
       CAST('010103' AS nvarchar(16)),
       CAST(f.ksdm AS nvarchar(32)),
       CAST(k.name AS nvarchar(64)),
       CAST(f.cardtype AS nvarchar(16)),
       CAST(f.qdlx AS nvarchar(16)),
       CAST(f.ybdm AS nvarchar(16)),
       CAST(p.sfzh AS nvarchar(32)),
       CAST(p.hzxm AS nvarchar(100)),
       CAST(c.qrCodeText AS nvarchar(512)),
       CAST(CASE WHEN f.jlzt = 1 THEN 1 ELSE 0 END AS int)
FROM dbo.SF_MZCFK f
LEFT JOIN dbo.SF_BRXXK p ON p.patid = f.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = f.ksdm
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = p.patid
WHERE f.fybz = 1
  AND f.jlzt IN (0, 1)
UNION ALL
SELECT CAST('examination' AS varchar(16)),
       CAST(r.repno AS nvarchar(64)),
       r.pubtime_dt,
       CAST('0101081' AS nvarchar(16)),
       CAST(r.sqksdm AS nvarchar(32)),
       CAST(k.name AS nvarchar(64)),
       CAST(r.cardtype AS nvarchar(16)),
       CAST(r.qdlx AS nvarchar(16)),
       CAST(r.ybdm AS nvarchar(16)),
       CAST(p.sfzh AS nvarchar(32)),
       CAST(p.hzxm AS nvarchar(100)),
       CAST(c.qrCodeText AS nvarchar(512)),
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS int)
FROM dbo.VW_YJ_REPORT r
LEFT JOIN dbo.SF_BRXXK p ON p.patid = r.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = r.sqksdm
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = p.patid
WHERE r.replb = 'JC'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT CAST('laboratory' AS varchar(16)),
       CAST(r.repno AS nvarchar(64)),
       r.pubtime_dt,
       CAST('0101082' AS nvarchar(16)),
       CAST(r.sqksdm AS nvarchar(32)),
       CAST(k.name AS nvarchar(64)),
       CAST(r.cardtype AS nvarchar(16)),
       CAST(r.qdlx AS nvarchar(16)),
       CAST(r.ybdm AS nvarchar(16)),
       CAST(p.sfzh AS nvarchar(32)),
       CAST(p.hzxm AS nvarchar(100)),
       CAST(c.qrCodeText AS nvarchar(512)),
       CAST(CASE WHEN r.jlzt = 1 THEN 1 ELSE 0 END AS int)
FROM dbo.VW_YJ_REPORT r
LEFT JOIN dbo.SF_BRXXK p ON p.patid = r.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = r.sqksdm
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = p.patid
WHERE r.replb = 'JY'
  AND r.jlzt IN (0, 1)
UNION ALL
SELECT CAST('admission' AS varchar(16)),
       CAST(s.syxh AS nvarchar(64)),
       s.ryrq_dt,
       CAST('010109' AS nvarchar(16)),
       CAST(s.ksdm AS nvarchar(32)),
       CAST(k.name AS nvarchar(64)),
       CAST(s.cardtype AS nvarchar(16)),
       CAST(s.qdlx AS nvarchar(16)),
       CAST(s.ybdm AS nvarchar(16)),
       CAST(p.sfzh AS nvarchar(32)),
       CAST(p.hzxm AS nvarchar(100)),
       CAST(c.qrCodeText AS nvarchar(512)),
       CAST(CASE WHEN s.brzt = 9 THEN 1 ELSE 0 END AS int)
FROM dbo.ZY_BRSYK s
LEFT JOIN dbo.ZY_BRXXK p ON p.patid = s.patid
LEFT JOIN dbo.YY_KSBMK k ON k.id = s.ksdm
LEFT JOIN (SELECT sfzh, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY sfzh) c ON c.sfzh = p.sfzh
    AND RTRIM(p.sfzh) LIKE '__________________'
    AND SUBSTRING(p.sfzh, 1, 1) >= '1' AND SUBSTRING(p.sfzh, 1, 1) <= '8'
    AND SUBSTRING(p.sfzh, 7, 2) IN ('18', '19', '20')
    AND SUBSTRING(p.sfzh, 11, 2) >= '01' AND SUBSTRING(p.sfzh, 11, 2) <= '12'
    AND SUBSTRING(p.sfzh, 13, 2) >= '01' AND SUBSTRING(p.sfzh, 13, 2) <= '31';
GO
-- What the branches leave out 各分支不取的记录: reversal rows (jlzt 2), pre-registrations (jlzt 8), charges that are the fee
-- of a registration (ghsfbz not 1), prescriptions that nobody has handed out (fybz 0). A cancelled stay is brzt 9.
-- Inpatients have numbers of their own: their health card is found by sfzh. 住院病人另有编号，健康卡按身份证号关联。
-- A top-up has its key marked YJ, so that it never meets a receipt number. 充值的主键加前缀 YJ，避免与收据号相同。
-- Year tables join in by UNION ALL within their branch. 年度表在各自分支内用 UNION ALL 并入。
--
-- Text dates: the columns that the example calls ghrq_dt, sfrq_dt, lrrq_dt, fyrq_dt, pubtime_dt and ryrq_dt. The tables
-- behind VW_YJ_REPORT get theirs, and the view has to hand it on. 文本日期（yyyymmddhh:mm:ss）先加持久化计算列并建索引：
--   ALTER TABLE dbo.GH_GHZDK ADD ghrq_dt AS TRY_CONVERT(datetime, STUFF(ghrq, 9, 0, ' '), 112) PERSISTED;
--   CREATE INDEX ix_gh_ghzdk_ghrq_dt ON dbo.GH_GHZDK (ghrq_dt);
-- Text that is no date becomes NULL and is in no window. Count it before and mend it: 无法识别的时间不会被读取，请先清理：
--   SELECT COUNT(*) FROM dbo.GH_GHZDK WHERE TRY_CONVERT(datetime, STUFF(ghrq, 9, 0, ' '), 112) IS NULL;
