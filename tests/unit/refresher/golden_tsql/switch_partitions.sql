-- ===== DailyReports stage =====

-- make the schema of our own tables
IF SCHEMA_ID(N'penstock_refresh') IS NULL EXECUTE(N'CREATE SCHEMA [penstock_refresh]')
;

-- remove an older table of the same name
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_DailyReports]
;

-- make a twin of the table
CREATE TABLE [penstock_refresh].[s_9f2c_DailyReports] ([id] bigint IDENTITY(1,1) NOT NULL,
[report_date] date NOT NULL, [total] float(53) NULL) ON [ps_month] ([report_date])
;

-- ===== DailyReports reads =====

-- read the source
-- with: 2024-02-01, 2024-03-05
SELECT [id], [report_date], [total] FROM [dbo].[DailyReports] WHERE [report_date] >= CONVERT(date,
?, 126) AND [report_date] <= CONVERT(date, ?, 126)
;

-- ===== DailyReports build =====

-- build an index
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] ADD CONSTRAINT [s_9f2c_PK_Daily] PRIMARY KEY
CLUSTERED ([id] ASC, [report_date] ASC) ON [ps_month] ([report_date])
;

-- build an index
CREATE NONCLUSTERED INDEX [IX_Daily_total] ON [penstock_refresh].[s_9f2c_DailyReports] ([total] ASC)
WHERE ([total] IS NOT NULL) WITH (DATA_COMPRESSION = PAGE) ON [ps_month] ([report_date])
;

-- add a check and prove it
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] WITH CHECK ADD CONSTRAINT [s_9f2c_CK_total]
CHECK ([total]>=(0))
;

-- add a check and prove it
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] WITH NOCHECK ADD CONSTRAINT [s_9f2c_CK_old]
CHECK ([id]>(0))
;

-- as the target has it
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] NOCHECK CONSTRAINT [s_9f2c_CK_old]
;

-- add a reference and prove it
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] WITH CHECK ADD CONSTRAINT
[s_9f2c_FK_Daily_Customers] FOREIGN KEY ([id]) REFERENCES [dbo].[Customers] ([id])
;

-- gather statistics of staging
UPDATE STATISTICS [penstock_refresh].[s_9f2c_DailyReports]
;

-- ===== DailyReports source_summary =====

-- summarise
-- with: 2024-02-01, 2024-03-05
SELECT COUNT_BIG(*) AS [rows], COUNT_BIG(CASE WHEN r.[id] IS NULL THEN 1 END) AS nulls_0,
CONVERT(varchar(64), MIN(r.[id])) AS low_0, CONVERT(varchar(64), MAX(r.[id])) AS high_0,
COUNT_BIG(CASE WHEN r.[report_date] IS NULL THEN 1 END) AS nulls_1, CONVERT(varchar(64),
MIN(r.[report_date]), 121) AS low_1, CONVERT(varchar(64), MAX(r.[report_date]), 121) AS high_1,
COUNT_BIG(CASE WHEN r.[total] IS NULL THEN 1 END) AS nulls_2, CONVERT(varchar(64), MIN(r.[total]),
3) AS low_2, CONVERT(varchar(64), MAX(r.[total]), 3) AS high_2, CONCAT(SUM(CONVERT(decimal(38, 0),
CONVERT(bigint, SUBSTRING(h.penstock_hash, 1, 8)))), ':', SUM(CONVERT(decimal(38, 0),
CONVERT(bigint, SUBSTRING(h.penstock_hash, 9, 8))))) AS [checksum] FROM (SELECT * FROM
[dbo].[DailyReports] WHERE [report_date] >= CONVERT(date, ?, 126) AND [report_date] <= CONVERT(date,
?, 126)) AS r CROSS APPLY (SELECT ISNULL(CONVERT(varchar(64), r.[id]), 'N') AS v_0,
ISNULL(CONVERT(varchar(64), r.[report_date], 121), 'N') AS v_1, ISNULL(CONVERT(varchar(64),
r.[total], 3), 'N') AS v_2) AS v CROSS APPLY (SELECT HASHBYTES('SHA2_256', CONVERT(varchar(max), '')
+ v.v_0 + ',' + v.v_1 + ',' + v.v_2) AS penstock_hash) AS h
;

-- ===== DailyReports staging_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows], COUNT_BIG(CASE WHEN r.[id] IS NULL THEN 1 END) AS nulls_0,
CONVERT(varchar(64), MIN(r.[id])) AS low_0, CONVERT(varchar(64), MAX(r.[id])) AS high_0,
COUNT_BIG(CASE WHEN r.[report_date] IS NULL THEN 1 END) AS nulls_1, CONVERT(varchar(64),
MIN(r.[report_date]), 121) AS low_1, CONVERT(varchar(64), MAX(r.[report_date]), 121) AS high_1,
COUNT_BIG(CASE WHEN r.[total] IS NULL THEN 1 END) AS nulls_2, CONVERT(varchar(64), MIN(r.[total]),
3) AS low_2, CONVERT(varchar(64), MAX(r.[total]), 3) AS high_2, CONCAT(SUM(CONVERT(decimal(38, 0),
CONVERT(bigint, SUBSTRING(h.penstock_hash, 1, 8)))), ':', SUM(CONVERT(decimal(38, 0),
CONVERT(bigint, SUBSTRING(h.penstock_hash, 9, 8))))) AS [checksum] FROM
[penstock_refresh].[s_9f2c_DailyReports] AS r CROSS APPLY (SELECT ISNULL(CONVERT(varchar(64),
r.[id]), 'N') AS v_0, ISNULL(CONVERT(varchar(64), r.[report_date], 121), 'N') AS v_1,
ISNULL(CONVERT(varchar(64), r.[total], 3), 'N') AS v_2) AS v CROSS APPLY (SELECT
HASHBYTES('SHA2_256', CONVERT(varchar(max), '') + v.v_0 + ',' + v.v_1 + ',' + v.v_2) AS
penstock_hash) AS h
;

-- ===== DailyReports target_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows], COUNT_BIG(CASE WHEN r.[id] IS NULL THEN 1 END) AS nulls_0,
CONVERT(varchar(64), MIN(r.[id])) AS low_0, CONVERT(varchar(64), MAX(r.[id])) AS high_0,
COUNT_BIG(CASE WHEN r.[report_date] IS NULL THEN 1 END) AS nulls_1, CONVERT(varchar(64),
MIN(r.[report_date]), 121) AS low_1, CONVERT(varchar(64), MAX(r.[report_date]), 121) AS high_1,
COUNT_BIG(CASE WHEN r.[total] IS NULL THEN 1 END) AS nulls_2, CONVERT(varchar(64), MIN(r.[total]),
3) AS low_2, CONVERT(varchar(64), MAX(r.[total]), 3) AS high_2, CONCAT(SUM(CONVERT(decimal(38, 0),
CONVERT(bigint, SUBSTRING(h.penstock_hash, 1, 8)))), ':', SUM(CONVERT(decimal(38, 0),
CONVERT(bigint, SUBSTRING(h.penstock_hash, 9, 8))))) AS [checksum] FROM [dbo].[DailyReports] AS r
CROSS APPLY (SELECT ISNULL(CONVERT(varchar(64), r.[id]), 'N') AS v_0, ISNULL(CONVERT(varchar(64),
r.[report_date], 121), 'N') AS v_1, ISNULL(CONVERT(varchar(64), r.[total], 3), 'N') AS v_2) AS v
CROSS APPLY (SELECT HASHBYTES('SHA2_256', CONVERT(varchar(max), '') + v.v_0 + ',' + v.v_1 + ',' +
v.v_2) AS penstock_hash) AS h
;

-- ===== swap =====

-- remove an older table of the same name
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_DailyReports]
;

-- make a twin of the table
CREATE TABLE [penstock_refresh].[u_9f2c_DailyReports] ([id] bigint IDENTITY(1,1) NOT NULL,
[report_date] date NOT NULL, [total] float(53) NULL) ON [ps_month] ([report_date])
;

-- build an index
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] ADD CONSTRAINT [u_9f2c_PK_Daily] PRIMARY KEY
CLUSTERED ([id] ASC, [report_date] ASC) ON [ps_month] ([report_date])
;

-- build an index
CREATE NONCLUSTERED INDEX [IX_Daily_total] ON [penstock_refresh].[u_9f2c_DailyReports] ([total] ASC)
WHERE ([total] IS NOT NULL) WITH (DATA_COMPRESSION = PAGE) ON [ps_month] ([report_date])
;

-- add a check and prove it
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] WITH CHECK ADD CONSTRAINT [u_9f2c_CK_total]
CHECK ([total]>=(0))
;

-- add a check and prove it
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] WITH NOCHECK ADD CONSTRAINT [u_9f2c_CK_old]
CHECK ([id]>(0))
;

-- as the target has it
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] NOCHECK CONSTRAINT [u_9f2c_CK_old]
;

-- move the old rows out; lock SCH-M
ALTER TABLE [dbo].[DailyReports] SWITCH PARTITION 3 TO [penstock_refresh].[u_9f2c_DailyReports]
PARTITION 3
;

-- move the new rows in; lock SCH-M
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] SWITCH PARTITION 3 TO [dbo].[DailyReports]
PARTITION 3
;

-- move the old rows out; lock SCH-M
ALTER TABLE [dbo].[DailyReports] SWITCH PARTITION 4 TO [penstock_refresh].[u_9f2c_DailyReports]
PARTITION 4
;

-- move the new rows in; lock SCH-M
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] SWITCH PARTITION 4 TO [dbo].[DailyReports]
PARTITION 4
;

-- move the identity behind the largest number
DBCC CHECKIDENT (N'[dbo].[DailyReports]', RESEED) WITH NO_INFOMSGS
;

-- ===== after =====

-- gather statistics
UPDATE STATISTICS [dbo].[DailyReports]
;

-- ===== undo =====

-- remove an older table of the same name
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_DailyReports]
;

-- make a twin of the table
CREATE TABLE [penstock_refresh].[s_9f2c_DailyReports] ([id] bigint IDENTITY(1,1) NOT NULL,
[report_date] date NOT NULL, [total] float(53) NULL) ON [ps_month] ([report_date])
;

-- build an index
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] ADD CONSTRAINT [s_9f2c_PK_Daily] PRIMARY KEY
CLUSTERED ([id] ASC, [report_date] ASC) ON [ps_month] ([report_date])
;

-- build an index
CREATE NONCLUSTERED INDEX [IX_Daily_total] ON [penstock_refresh].[s_9f2c_DailyReports] ([total] ASC)
WHERE ([total] IS NOT NULL) WITH (DATA_COMPRESSION = PAGE) ON [ps_month] ([report_date])
;

-- add a check and prove it
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] WITH CHECK ADD CONSTRAINT [s_9f2c_CK_total]
CHECK ([total]>=(0))
;

-- add a check and prove it
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] WITH NOCHECK ADD CONSTRAINT [s_9f2c_CK_old]
CHECK ([id]>(0))
;

-- as the target has it
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] NOCHECK CONSTRAINT [s_9f2c_CK_old]
;

-- add a reference and prove it
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] WITH CHECK ADD CONSTRAINT
[u_9f2c_FK_Daily_Customers] FOREIGN KEY ([id]) REFERENCES [dbo].[Customers] ([id])
;

-- move the old rows out; lock SCH-M
ALTER TABLE [dbo].[DailyReports] SWITCH PARTITION 3 TO [penstock_refresh].[s_9f2c_DailyReports]
PARTITION 3
;

-- move the new rows in; lock SCH-M
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] SWITCH PARTITION 3 TO [dbo].[DailyReports]
PARTITION 3
;

-- move the old rows out; lock SCH-M
ALTER TABLE [dbo].[DailyReports] SWITCH PARTITION 4 TO [penstock_refresh].[s_9f2c_DailyReports]
PARTITION 4
;

-- move the new rows in; lock SCH-M
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] SWITCH PARTITION 4 TO [dbo].[DailyReports]
PARTITION 4
;

-- move the identity behind the largest number
DBCC CHECKIDENT (N'[dbo].[DailyReports]', RESEED) WITH NO_INFOMSGS
;

-- ===== DailyReports clean =====

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_DailyReports]
;

-- ===== DailyReports forget =====

-- forget the old rows
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_DailyReports]
;
