-- ===== Lines stage =====

-- make the schema of our own tables
IF SCHEMA_ID(N'penstock_refresh') IS NULL EXECUTE(N'CREATE SCHEMA [penstock_refresh]')
;

-- remove an older staging table
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Lines]
;

-- make the staging table
CREATE TABLE [penstock_refresh].[s_9f2c_Lines] ([order] bigint NOT NULL, [customer] int NULL,
[amount] decimal(18,2) NULL, [changed] datetime2(3) NULL)
;

-- ===== Lines reads =====

-- read the source
-- with: 2024-02-28T23:00:00, 2024-02-29T13:14:15.123000
SELECT [order], [customer], [amount], [changed] FROM [sales].[Order Lines] WHERE [changed] >=
CONVERT(datetime2(3), ?, 126) AND [changed] <= CONVERT(datetime2(3), ?, 126) AND ([amount] > 0)
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
-- with: 2024-02-28T23:00:00, 2024-02-29T13:14:15.123000
SELECT COUNT_BIG(*) AS [rows] FROM (SELECT * FROM [sales].[Order Lines] WHERE [changed] >=
CONVERT(datetime2(3), ?, 126) AND [changed] <= CONVERT(datetime2(3), ?, 126) AND ([amount] > 0)) AS
r
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
[customer] int NULL, [amount] decimal(18,2) NULL, [changed] datetime2(3) NULL)
;

-- count the rows that belong to testers; counts as kept
SELECT COUNT_BIG(*) FROM [sales].[Order Lines] WHERE ([order] < 0 OR [amount] IS NULL)
;

-- note the rows that go
-- with: 2024-02-28T23:00:00, 2024-02-29T13:14:15.123000, 2024-02-29T00:00:00
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order], [customer], [amount],
[changed]) SELECT 'D', t.[order], t.[customer], t.[amount], t.[changed] FROM (SELECT * FROM
[sales].[Order Lines] WHERE [changed] >= CONVERT(datetime2(3), ?, 126) AND [changed] <=
CONVERT(datetime2(3), ?, 126) AND CASE WHEN ([order] < 0 OR [amount] IS NULL) THEN 1 ELSE 0 END = 0)
AS t WHERE NOT EXISTS (SELECT 1 FROM [penstock_refresh].[s_9f2c_Lines] AS s WHERE s.[order] =
t.[order]) AND t.[changed] <= CONVERT(datetime2(3), ?, 126)
;

-- note the rows that change
-- with: 2024-02-29T00:00:00
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order], [customer], [amount],
[changed]) SELECT 'U', t.[order], t.[customer], t.[amount], t.[changed] FROM (SELECT * FROM
[sales].[Order Lines] WHERE CASE WHEN ([order] < 0 OR [amount] IS NULL) THEN 1 ELSE 0 END = 0 AND
([changed] <= CONVERT(datetime2(3), ?, 126) OR [changed] IS NULL)) AS t INNER JOIN
[penstock_refresh].[s_9f2c_Lines] AS s ON s.[order] = t.[order] WHERE EXISTS (SELECT s.[customer],
s.[amount], s.[changed] EXCEPT SELECT t.[customer], t.[amount], t.[changed])
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
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed]) SELECT s.[order],
s.[customer], s.[amount], s.[changed] FROM [penstock_refresh].[s_9f2c_Lines] AS s INNER JOIN
[penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] = s.[order] WHERE u.[penstock_op] = 'I'
;

-- update rows; counts as updated
UPDATE t SET t.[customer] = s.[customer], t.[amount] = s.[amount], t.[changed] = s.[changed] FROM
[sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[s_9f2c_Lines] AS s ON s.[order] =
t.[order] INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] = t.[order] WHERE
u.[penstock_op] = 'U'
;

-- hook of the configuration
UPDATE [sales].[Order Lines] SET [amount] = 0
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
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed]) SELECT u.[order],
u.[customer], u.[amount], u.[changed] FROM [penstock_refresh].[u_9f2c_Lines] AS u WHERE
u.[penstock_op] = 'D' AND NOT EXISTS (SELECT 1 FROM [sales].[Order Lines] AS t WHERE u.[order] =
t.[order])
;

-- update rows; counts as updated
UPDATE t SET t.[customer] = u.[customer], t.[amount] = u.[amount], t.[changed] = u.[changed] FROM
[sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] =
t.[order] WHERE u.[penstock_op] IN ('U', 'D')
;

-- ===== Lines clean =====

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Lines]
;

-- ===== Lines forget =====

-- forget the old rows
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Lines]
;
