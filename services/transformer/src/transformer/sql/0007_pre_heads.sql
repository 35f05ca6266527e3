-- A head is made small, to be locked, and written in full when its record is: with room in its page
-- that touches no index, and neither does any later change of it.
alter table silver.heads set (fillfactor = 25);
