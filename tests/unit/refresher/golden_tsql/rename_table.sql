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

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[PK_Daily]', @newname = N'u_9f2c_PK_Daily', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[CK_total]', @newname = N'u_9f2c_CK_total', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[CK_old]', @newname = N'u_9f2c_CK_old', @objtype = N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[FK_Daily_Customers]', @newname = N'u_9f2c_FK_Daily_Customers',
@objtype = N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[DailyReports]', @newname = N'u_9f2c_DailyReports', @objtype =
N'OBJECT'
;

-- put the old table aside; lock SCH-M
ALTER SCHEMA [penstock_refresh] TRANSFER [dbo].[u_9f2c_DailyReports]
;

-- bring the new table; lock SCH-M
ALTER SCHEMA [dbo] TRANSFER [penstock_refresh].[s_9f2c_DailyReports]
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[s_9f2c_DailyReports]', @newname = N'DailyReports', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[s_9f2c_PK_Daily]', @newname = N'PK_Daily', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[s_9f2c_CK_total]', @newname = N'CK_total', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[s_9f2c_CK_old]', @newname = N'CK_old', @objtype = N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[s_9f2c_FK_Daily_Customers]', @newname = N'FK_Daily_Customers',
@objtype = N'OBJECT'
;

-- let go of a reference
ALTER TABLE [penstock_refresh].[u_9f2c_DailyReports] NOCHECK CONSTRAINT [u_9f2c_FK_Daily_Customers]
;

-- ===== after =====

-- gather statistics
UPDATE STATISTICS [dbo].[DailyReports]
;

-- ===== undo =====

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[PK_Daily]', @newname = N's_9f2c_PK_Daily', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[CK_total]', @newname = N's_9f2c_CK_total', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[CK_old]', @newname = N's_9f2c_CK_old', @objtype = N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[FK_Daily_Customers]', @newname = N's_9f2c_FK_Daily_Customers',
@objtype = N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[DailyReports]', @newname = N's_9f2c_DailyReports', @objtype =
N'OBJECT'
;

-- put the old table aside; lock SCH-M
ALTER SCHEMA [penstock_refresh] TRANSFER [dbo].[s_9f2c_DailyReports]
;

-- bring the new table; lock SCH-M
ALTER SCHEMA [dbo] TRANSFER [penstock_refresh].[u_9f2c_DailyReports]
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[u_9f2c_DailyReports]', @newname = N'DailyReports', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[u_9f2c_PK_Daily]', @newname = N'PK_Daily', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[u_9f2c_CK_total]', @newname = N'CK_total', @objtype =
N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[u_9f2c_CK_old]', @newname = N'CK_old', @objtype = N'OBJECT'
;

-- rename; lock SCH-M
EXECUTE sp_rename @objname = N'[dbo].[u_9f2c_FK_Daily_Customers]', @newname = N'FK_Daily_Customers',
@objtype = N'OBJECT'
;

-- let go of a reference
ALTER TABLE [penstock_refresh].[s_9f2c_DailyReports] NOCHECK CONSTRAINT [s_9f2c_FK_Daily_Customers]
;

-- check the reference for every row
ALTER TABLE [dbo].[DailyReports] WITH CHECK CHECK CONSTRAINT [FK_Daily_Customers]
;

-- ===== DailyReports clean =====

-- remove staging
DROP TABLE IF EXISTS [penstock_refresh].[s_9f2c_DailyReports]
;

-- ===== DailyReports forget =====

-- forget the old rows
DROP TABLE IF EXISTS [penstock_refresh].[u_9f2c_DailyReports]
;
