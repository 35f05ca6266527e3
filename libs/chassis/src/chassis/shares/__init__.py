"""File shares: SMB through two client libraries, and local folders, behind one port."""
