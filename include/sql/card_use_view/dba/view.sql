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
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = g.patid
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
LEFT JOIN (SELECT brid, MAX(qrCodeText) AS qrCodeText FROM dbo.xt_brxx GROUP BY brid) c ON c.brid = j.patid
WHERE j.ghsfbz = 1
  AND j.ybjszt = 2
  AND j.jlzt IN (0, 1);
GO
-- dispensing, examination, laboratory, admission: a branch each, in the same form. 取药、检查、检验、住院登记照此追加分支。
--
-- Text dates: the column that the example calls ghrq_dt. 文本日期（yyyymmddhh:mm:ss）先加持久化计算列并建索引：
--   ALTER TABLE dbo.GH_GHZDK ADD ghrq_dt AS TRY_CONVERT(datetime, STUFF(ghrq, 9, 0, ' '), 112) PERSISTED;
--   CREATE INDEX ix_gh_ghzdk_ghrq_dt ON dbo.GH_GHZDK (ghrq_dt);
-- Text that is no date becomes NULL and is in no window. Count it before and mend it: 无法识别的时间不会被读取，请先清理：
--   SELECT COUNT(*) FROM dbo.GH_GHZDK WHERE TRY_CONVERT(datetime, STUFF(ghrq, 9, 0, ' '), 112) IS NULL;
