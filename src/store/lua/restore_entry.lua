#!lua
--[[
Writes the record of a job whose entry in the archive was found, unless there is a record.

KEYS[1] the job's record
ARGV[1] the place of the entry, as in archive_job.lua
ARGV[2] its status
ARGV[3] when it ended
ARGV[4] the fields that the record keeps for scripts, as in archive_job.lua
ARGV[5] the fields that it keeps for lists
ARGV[6…] the fields that stay by themselves: name, value, …

Returns 1 if the record was written, else 0.
]]
if get('status') then return 0 end
write_archived(ARGV[1], ARGV[2], ARGV[4], ARGV[5], 0, 0, 0)
set(unpack(ARGV, 6))
list(ARGV[2])
redis.call('ZADD', owned .. ':jobs', 0, id)
redis.call('ZADD', root .. ':ended', ARGV[3], job)
return 1
