-- ===== DailyReports stage =====

-- make the schema of our own tables
IF SCHEMA_ID(N'penstock_refresh') IS NULL EXECUTE(N'CREATE SCHEMA [penstock_refresh]')
;

-- remove an older table of the same name
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_DailyReports]
;

-- make a twin of the table
CREATE TABLE [penstock_refresh].[s_9f2c_DailyReports] ([id] bigint IDENTITY(1,1) NOT NULL,
[report_date] date NOT NULL, [total] float(53) NULL) ON [PRIMARY]
;

-- ===== DailyReports reads =====

-- read the source
SELECT [id], [report_date], [total] FROM [dbo].[DailyReports]
;

-- ===== DailyReports build =====

-- build an index
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] ADD CONSTRAINT [s_9f2c_PK_Daily] PRIMARY KEY
CLUSTERED ([id] ASC, [report_date] ASC) ON [PRIMARY]
;

-- build an index
CREATE NONCLUSTERED INDEX [IX_Daily_total] ON [penstock_refresh].[s_9f2c_DailyReports] ([total] ASC)
WHERE ([total] IS NOT NULL) WITH (DATA_COMPRESSION = PAGE) ON [PRIMARY]
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
SELECT COUNT_BIG(*) AS [rows] FROM (SELECT * FROM [dbo].[DailyReports]) AS r
;

-- ===== DailyReports staging_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM [penstock_refresh].[s_9f2c_DailyReports] AS r
;

-- ===== DailyReports target_summary =====

-- summarise
SELECT COUNT_BIG(*) AS [rows] FROM [dbo].[DailyReports] AS r
;

-- ===== swap =====

-- remove an older table of the same name
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_DailyReports]
;

-- make a twin of the table
CREATE TABLE [penstock_refresh].[u_9f2c_DailyReports] ([id] bigint IDENTITY(1,1) NOT NULL,
[report_date] date NOT NULL, [total] float(53) NULL) ON [PRIMARY]
;

-- build an index
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] ADD CONSTRAINT [u_9f2c_PK_Daily] PRIMARY KEY
CLUSTERED ([id] ASC, [report_date] ASC) ON [PRIMARY]
;

-- build an index
CREATE NONCLUSTERED INDEX [IX_Daily_total] ON [penstock_refresh].[u_9f2c_DailyReports] ([total] ASC)
WHERE ([total] IS NOT NULL) WITH (DATA_COMPRESSION = PAGE) ON [PRIMARY]
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
ALTER TABLE [dbo].[DailyReports] SWITCH TO [penstock_refresh].[u_9f2c_DailyReports]
;

-- move the new rows in; lock SCH-M
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] SWITCH TO [dbo].[DailyReports]
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
[report_date] date NOT NULL, [total] float(53) NULL) ON [PRIMARY]
;

-- build an index
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] ADD CONSTRAINT [s_9f2c_PK_Daily] PRIMARY KEY
CLUSTERED ([id] ASC, [report_date] ASC) ON [PRIMARY]
;

-- build an index
CREATE NONCLUSTERED INDEX [IX_Daily_total] ON [penstock_refresh].[s_9f2c_DailyReports] ([total] ASC)
WHERE ([total] IS NOT NULL) WITH (DATA_COMPRESSION = PAGE) ON [PRIMARY]
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
ALTER TABLE [dbo].[DailyReports] SWITCH TO [penstock_refresh].[s_9f2c_DailyReports]
;

-- move the new rows in; lock SCH-M
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] SWITCH TO [dbo].[DailyReports]
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
