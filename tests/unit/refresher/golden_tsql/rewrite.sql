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
SELECT TOP (100) [order], [customer], [amount], [changed] FROM [sales].[Order Lines]
;

-- ===== Lines build =====

-- gather statistics of staging
UPDATE STATISTICS [penstock_refresh].[s_9f2c_Lines]
;

-- ===== Lines source_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM (SELECT TOP (100) * FROM [sales].[Order Lines]) AS r
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

-- note every row
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order], [customer], [amount],
[changed]) SELECT 'D', t.[order], t.[customer], t.[amount], t.[changed] FROM (SELECT * FROM
[sales].[Order Lines]) AS t
;

-- remove rows; counts as deleted
DELETE FROM [sales].[Order Lines]
;

-- insert rows; counts as inserted
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed]) SELECT [order],
[customer], [amount], [changed] FROM [penstock_refresh].[s_9f2c_Lines]
;

-- ===== undo =====

-- keep writers out until the swap is done; lock S
SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one FROM [sales].[Order Lines] WITH (TABLOCK,
HOLDLOCK)) AS held
;

-- remove rows; counts as deleted
DELETE FROM [sales].[Order Lines]
;

-- insert rows; counts as inserted
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed]) SELECT u.[order],
u.[customer], u.[amount], u.[changed] FROM [penstock_refresh].[u_9f2c_Lines] AS u WHERE
u.[penstock_op] = 'D'
;

-- ===== Lines clean =====

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Lines]
;

-- ===== Lines forget =====

-- forget the old rows
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Lines]
;
