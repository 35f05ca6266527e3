-- ===== Customers stage =====

-- make the schema of our own tables
IF SCHEMA_ID(N'penstock_refresh') IS NULL EXECUTE(N'CREATE SCHEMA [penstock_refresh]')
;

-- remove an older staging table
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Customers]
;

-- make the staging table
CREATE TABLE [penstock_refresh].[s_9f2c_Customers] ([id] int NOT NULL, [name] nvarchar(80) COLLATE
Latin1_General_100_CI_AS NULL, [seen] datetime2(7) NULL, [notes] xml NULL)
;

-- remove an older landing table
DROP TABLE IF EXISTS [penstock_refresh].[l_9f2c_Customers]
;

-- make the landing table
CREATE TABLE [penstock_refresh].[l_9f2c_Customers] ([id] int NULL, [name] nvarchar(80) COLLATE
Latin1_General_100_CI_AS NULL, [seen] varchar(34) NULL, [notes] xml NULL)
;

-- ===== Customers reads =====

-- read the source
SELECT [id], [name], CONVERT(varchar(34), [seen], 121) AS [seen], [notes] FROM [dbo].[Customers]
;

-- ===== Customers build =====

-- bring landed rows to staging
INSERT INTO [penstock_refresh].[s_9f2c_Customers] WITH (TABLOCK) ([id], [name], [seen], [notes])
SELECT [id], [name], CONVERT(datetime2(7), [seen], 121), [notes] FROM
[penstock_refresh].[l_9f2c_Customers]
;

-- remove the landing table
DROP TABLE [penstock_refresh].[l_9f2c_Customers]
;

-- build the key of staging
ALTER TABLE [penstock_refresh].[s_9f2c_Customers] ADD PRIMARY KEY CLUSTERED ([id])
;

-- gather statistics of staging
UPDATE STATISTICS [penstock_refresh].[s_9f2c_Customers]
;

-- ===== Customers source_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM (SELECT * FROM [dbo].[Customers]) AS r
;

-- ===== Customers staging_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM [penstock_refresh].[s_9f2c_Customers] AS r
;

-- ===== Customers target_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM [dbo].[Customers] AS r
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
[amount] decimal(18,2) NULL, [changed] datetime2(3) NULL)
;

-- ===== Lines reads =====

-- read the source
SELECT [order], [customer], [amount], [changed] FROM [sales].[Order Lines]
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
SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one FROM [dbo].[Customers] WITH (TABLOCK, HOLDLOCK))
AS held
;

-- keep writers out until the swap is done; lock S
SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one FROM [sales].[Order Lines] WITH (TABLOCK,
HOLDLOCK)) AS held
;

-- remove older notes
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Customers]
;

-- make the table of notes
CREATE TABLE [penstock_refresh].[u_9f2c_Customers] ([penstock_op] char(1) NOT NULL, [id] int NULL,
[name] nvarchar(80) COLLATE Latin1_General_100_CI_AS NULL, [seen] datetime2(7) NULL, [notes] xml
NULL)
;

-- note the rows that go
INSERT INTO [penstock_refresh].[u_9f2c_Customers] ([penstock_op], [id], [name], [seen], [notes])
SELECT 'D', t.[id], t.[name], t.[seen], t.[notes] FROM (SELECT * FROM [dbo].[Customers]) AS t WHERE
NOT EXISTS (SELECT 1 FROM [penstock_refresh].[s_9f2c_Customers] AS s WHERE s.[id] = t.[id])
;

-- note the rows that change
INSERT INTO [penstock_refresh].[u_9f2c_Customers] ([penstock_op], [id], [name], [seen], [notes])
SELECT 'U', t.[id], t.[name], t.[seen], t.[notes] FROM (SELECT * FROM [dbo].[Customers]) AS t INNER
JOIN [penstock_refresh].[s_9f2c_Customers] AS s ON s.[id] = t.[id] WHERE EXISTS (SELECT
HASHBYTES('SHA2_256', CONVERT(nvarchar(max), s.[name])), s.[seen], HASHBYTES('SHA2_256',
CONVERT(nvarchar(max), s.[notes])) EXCEPT SELECT HASHBYTES('SHA2_256', CONVERT(nvarchar(max),
t.[name])), t.[seen], HASHBYTES('SHA2_256', CONVERT(nvarchar(max), t.[notes])))
;

-- note the rows that come
INSERT INTO [penstock_refresh].[u_9f2c_Customers] ([penstock_op], [id]) SELECT 'I', s.[id] FROM
[penstock_refresh].[s_9f2c_Customers] AS s WHERE NOT EXISTS (SELECT 1 FROM [dbo].[Customers] AS t
WHERE s.[id] = t.[id])
;

-- remove older notes
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Lines]
;

-- make the table of notes
CREATE TABLE [penstock_refresh].[u_9f2c_Lines] ([penstock_op] char(1) NOT NULL, [order] bigint NULL,
[customer] int NULL, [amount] decimal(18,2) NULL, [changed] datetime2(3) NULL)
;

-- note the rows that go
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order], [customer], [amount],
[changed]) SELECT 'D', t.[order], t.[customer], t.[amount], t.[changed] FROM (SELECT * FROM
[sales].[Order Lines]) AS t WHERE NOT EXISTS (SELECT 1 FROM [penstock_refresh].[s_9f2c_Lines] AS s
WHERE s.[order] = t.[order])
;

-- note the rows that change
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order], [customer], [amount],
[changed]) SELECT 'U', t.[order], t.[customer], t.[amount], t.[changed] FROM (SELECT * FROM
[sales].[Order Lines]) AS t INNER JOIN [penstock_refresh].[s_9f2c_Lines] AS s ON s.[order] =
t.[order] WHERE EXISTS (SELECT s.[customer], s.[amount], s.[changed] EXCEPT SELECT t.[customer],
t.[amount], t.[changed])
;

-- note the rows that come
INSERT INTO [penstock_refresh].[u_9f2c_Lines] ([penstock_op], [order]) SELECT 'I', s.[order] FROM
[penstock_refresh].[s_9f2c_Lines] AS s WHERE NOT EXISTS (SELECT 1 FROM [sales].[Order Lines] AS t
WHERE s.[order] = t.[order])
;

-- switch a reference inside a circle off; lock SCH-M
ALTER TABLE [dbo].[Customers] NOCHECK CONSTRAINT [FK_Customers_Lines]
;

-- switch a reference inside a circle off; lock SCH-M
ALTER TABLE [sales].[Order Lines] NOCHECK CONSTRAINT [FK_Lines_Customers]
;

-- allow numbers to be given
SET IDENTITY_INSERT [dbo].[Customers] ON
;

-- insert rows; counts as inserted
INSERT INTO [dbo].[Customers] ([id], [name], [seen], [notes]) SELECT s.[id], s.[name], s.[seen],
s.[notes] FROM [penstock_refresh].[s_9f2c_Customers] AS s INNER JOIN
[penstock_refresh].[u_9f2c_Customers] AS u ON u.[id] = s.[id] WHERE u.[penstock_op] = 'I'
;

-- let the table draw its numbers again
SET IDENTITY_INSERT [dbo].[Customers] OFF
;

-- insert rows; counts as inserted
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed]) SELECT s.[order],
s.[customer], s.[amount], s.[changed] FROM [penstock_refresh].[s_9f2c_Lines] AS s INNER JOIN
[penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] = s.[order] WHERE u.[penstock_op] = 'I'
;

-- update rows; counts as updated
UPDATE t SET t.[name] = s.[name], t.[seen] = s.[seen], t.[notes] = s.[notes] FROM [dbo].[Customers]
AS t INNER JOIN [penstock_refresh].[s_9f2c_Customers] AS s ON s.[id] = t.[id] INNER JOIN
[penstock_refresh].[u_9f2c_Customers] AS u ON u.[id] = t.[id] WHERE u.[penstock_op] = 'U'
;

-- update rows; counts as updated
UPDATE t SET t.[customer] = s.[customer], t.[amount] = s.[amount], t.[changed] = s.[changed] FROM
[sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[s_9f2c_Lines] AS s ON s.[order] =
t.[order] INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] = t.[order] WHERE
u.[penstock_op] = 'U'
;

-- remove rows; counts as deleted
DELETE t FROM [sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON
u.[order] = t.[order] WHERE u.[penstock_op] = 'D'
;

-- remove rows; counts as deleted
DELETE t FROM [dbo].[Customers] AS t INNER JOIN [penstock_refresh].[u_9f2c_Customers] AS u ON u.[id]
= t.[id] WHERE u.[penstock_op] = 'D'
;

-- check the reference for every row; lock SCH-M
ALTER TABLE [dbo].[Customers] WITH NOCHECK CHECK CONSTRAINT [FK_Customers_Lines]
;

-- check the reference for every row; lock SCH-M
ALTER TABLE [sales].[Order Lines] WITH CHECK CHECK CONSTRAINT [FK_Lines_Customers]
;

-- ===== undo =====

-- keep writers out until the swap is done; lock S
SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one FROM [dbo].[Customers] WITH (TABLOCK, HOLDLOCK))
AS held
;

-- keep writers out until the swap is done; lock S
SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one FROM [sales].[Order Lines] WITH (TABLOCK,
HOLDLOCK)) AS held
;

-- switch a reference inside a circle off; lock SCH-M
ALTER TABLE [dbo].[Customers] NOCHECK CONSTRAINT [FK_Customers_Lines]
;

-- switch a reference inside a circle off; lock SCH-M
ALTER TABLE [sales].[Order Lines] NOCHECK CONSTRAINT [FK_Lines_Customers]
;

-- allow numbers to be given
SET IDENTITY_INSERT [dbo].[Customers] ON
;

-- insert rows; counts as inserted
INSERT INTO [dbo].[Customers] ([id], [name], [seen], [notes]) SELECT u.[id], u.[name], u.[seen],
u.[notes] FROM [penstock_refresh].[u_9f2c_Customers] AS u WHERE u.[penstock_op] = 'D' AND NOT EXISTS
(SELECT 1 FROM [dbo].[Customers] AS t WHERE u.[id] = t.[id])
;

-- let the table draw its numbers again
SET IDENTITY_INSERT [dbo].[Customers] OFF
;

-- insert rows; counts as inserted
INSERT INTO [sales].[Order Lines] ([order], [customer], [amount], [changed]) SELECT u.[order],
u.[customer], u.[amount], u.[changed] FROM [penstock_refresh].[u_9f2c_Lines] AS u WHERE
u.[penstock_op] = 'D' AND NOT EXISTS (SELECT 1 FROM [sales].[Order Lines] AS t WHERE u.[order] =
t.[order])
;

-- update rows; counts as updated
UPDATE t SET t.[name] = u.[name], t.[seen] = u.[seen], t.[notes] = u.[notes] FROM [dbo].[Customers]
AS t INNER JOIN [penstock_refresh].[u_9f2c_Customers] AS u ON u.[id] = t.[id] WHERE u.[penstock_op]
IN ('U', 'D')
;

-- update rows; counts as updated
UPDATE t SET t.[customer] = u.[customer], t.[amount] = u.[amount], t.[changed] = u.[changed] FROM
[sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON u.[order] =
t.[order] WHERE u.[penstock_op] IN ('U', 'D')
;

-- remove rows; counts as deleted
DELETE t FROM [sales].[Order Lines] AS t INNER JOIN [penstock_refresh].[u_9f2c_Lines] AS u ON
u.[order] = t.[order] WHERE u.[penstock_op] = 'I'
;

-- remove rows; counts as deleted
DELETE t FROM [dbo].[Customers] AS t INNER JOIN [penstock_refresh].[u_9f2c_Customers] AS u ON u.[id]
= t.[id] WHERE u.[penstock_op] = 'I'
;

-- check the reference for every row; lock SCH-M
ALTER TABLE [dbo].[Customers] WITH NOCHECK CHECK CONSTRAINT [FK_Customers_Lines]
;

-- check the reference for every row; lock SCH-M
ALTER TABLE [sales].[Order Lines] WITH CHECK CHECK CONSTRAINT [FK_Lines_Customers]
;

-- ===== Customers clean =====

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Customers]
;

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[l_9f2c_Customers]
;

-- ===== Customers forget =====

-- forget the old rows
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Customers]
;

-- ===== Lines clean =====

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_Lines]
;

-- ===== Lines forget =====

-- forget the old rows
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_Lines]
;
