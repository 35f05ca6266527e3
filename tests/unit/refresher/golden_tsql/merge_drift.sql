-- ===== Lines schema =====

-- add the column remark; lock SCH-M
IF COL_LENGTH(N'[sales].[Order Lines]', N'remark') IS NULL ALTER TABLE [sales].[Order Lines] ADD
[remark] nvarchar(200) COLLATE Latin1_General_100_CI_AS NULL
;

-- widen amount from decimal(18,2); lock SCH-M
ALTER TABLE [sales].[Order Lines] ALTER COLUMN [amount] decimal(28,2) NULL
;

-- ===== Lines stage =====

-- make the schema of our own tables
IF SCHEMA_ID(N'penstock_refresh') IS NULL EXECUTE(N'CREATE SCHEMA [penstock_refresh]')
;

-- remove an older staging table
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Lines]
;

-- make the staging table
CREATE TABLE [penstock_refresh].[s_9f2c_Lines] ([order] bigint NOT NULL, [customer] int NULL,
[amount] decimal(28,2) NULL, [changed] datetime2(3) NULL, [remark] nvarchar(200) COLLATE
Latin1_General_100_CI_AS NULL)
;

-- ===== Lines reads =====

-- read the source
SELECT [order], [customer], [amount], [changed], [remark] FROM [sales].[Order Lines]
;

-- ===== Lines build =====

-- build the key of staging
ALTER TABLE [penstock_refresh].[s_9f2c_Lines] ADD PRIMARY KEY CLUSTERED ([order])
;

-- gather statistics of staging
UPDATE STATISTICS [penstock_refresh].[s_9f2c_Lines]
;

-- ===== Lines source_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM (SELECT * FROM [sales].[Order Lines]) AS r
;

-- ===== Lines staging_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM [penstock_refresh].[s_9f2c_Lines] AS r
;

-- ===== Lines target_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM [sales].[Order Lines] AS r
;

-- ===== swap =====

-- keep writers out until the swap is done; lock S
SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one FROM [sales].[Order Lines] WITH (TABLOCK,
HOLDLOCK)) AS held
;

-- remove older notes
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Lines]
;

-- make the table of notes
CREATE TABLE [penstock_refresh].[u_9f2c_Lines] ([penstock_op] char(1) NOT NULL, [order] bigint NULL,
[customer] int NULL, [amount] decimal(18,2) NULL, [changed] datetime2(3) NULL, [remark]
nvarchar(200) COLLATE Latin1_General_100_CI_AS NULL)
;

-- look for rows of the testers
-- refuses: Lines: the target has rows that production lacks, and `local_rows` is `stop`
SELECT COUNT_BIG(*) FROM (SELECT * FROM [sales].[Order Lines]) AS t WHERE NOT EXISTS (SELECT 1 FROM
[penstock_refresh].[s_9f2c_Lines] AS s WHERE s.[order] = t.[order])
;

-- note the rows that go
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order], [customer], [amount],
[changed], [remark]) SELECT 'D', t.[order], t.[customer], t.[amount], t.[changed], t.[remark] FROM
(SELECT * FROM [sales].[Order Lines]) AS t WHERE NOT EXISTS (SELECT 1 FROM
[penstock_refresh].[s_9f2c_Lines] AS s WHERE s.[order] = t.[order])
;

-- note the rows that change
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order], [customer], [amount],
[changed], [remark]) SELECT 'U', t.[order], t.[customer], t.[amount], t.[changed], t.[remark] FROM
(SELECT * FROM [sales].[Order Lines]) AS t INNER JOIN [penstock_refresh].[s_9f2c_Lines] AS s ON
s.[order] = t.[order] WHERE EXISTS (SELECT s.[customer], s.[amount], s.[changed],
HASHBYTES('SHA2_256', CONVERT(nvarchar(max), s.[remark])) EXCEPT SELECT t.[customer], t.[amount],
t.[changed], HASHBYTES('SHA2_256', CONVERT(nvarchar(max), t.[remark])))
;

-- note the rows that come
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order]) SELECT 'I', s.[order] FROM
[penstock_refresh].[s_9f2c_Lines] AS s WHERE NOT EXISTS (SELECT 1 FROM [sales].[Order Lines] AS t
WHERE s.[order] = t.[order])
;

-- remove rows; counts as deleted
DELETE t FROM [sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON
u.[order] = t.[order] WHERE u.[penstock_op] = 'D'
;

-- insert rows; counts as inserted
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed], [remark]) SELECT
s.[order], s.[customer], s.[amount], s.[changed], s.[remark] FROM [penstock_refresh].[s_9f2c_Lines]
AS s INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] = s.[order] WHERE
u.[penstock_op] = 'I'
;

-- update rows; counts as updated
UPDATE t SET t.[customer] = s.[customer], t.[amount] = s.[amount], t.[changed] = s.[changed],
t.[remark] = s.[remark] FROM [sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[s_9f2c_Lines]
AS s ON s.[order] = t.[order] INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] =
t.[order] WHERE u.[penstock_op] = 'U'
;

-- ===== undo =====

-- keep writers out until the swap is done; lock S
SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one FROM [sales].[Order Lines] WITH (TABLOCK,
HOLDLOCK)) AS held
;

-- remove rows; counts as deleted
DELETE t FROM [sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON
u.[order] = t.[order] WHERE u.[penstock_op] = 'I'
;

-- insert rows; counts as inserted
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed], [remark]) SELECT
u.[order], u.[customer], u.[amount], u.[changed], u.[remark] FROM [penstock_refresh].[u_9f2c_Lines]
AS u WHERE u.[penstock_op] = 'D' AND NOT EXISTS (SELECT 1 FROM [sales].[Order Lines] AS t WHERE
u.[order] = t.[order])
;

-- update rows; counts as updated
UPDATE t SET t.[customer] = u.[customer], t.[amount] = u.[amount], t.[changed] = u.[changed],
t.[remark] = u.[remark] FROM [sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[u_9f2c_Lines]
AS u ON u.[order] = t.[order] WHERE u.[penstock_op] IN ('U', 'D')
;

-- ===== Lines clean =====

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Lines]
;

-- ===== Lines forget =====

-- forget the old rows
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Lines]
;
