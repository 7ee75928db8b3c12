#!lua flags=allow-oom
--[[
Writes the progress, events and metrics that a run reports. A report whose answer was lost is sent
again, and is still written only once.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] number of the report within the run, from 1
ARGV[4] progress, as JSON
ARGV[5] events, as a JSON array of JSON texts
ARGV[6…] rows of metrics (put_rows in shared/rows.lua)

Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
put_rows(6)
if number('reported') >= tonumber(ARGV[3]) then return end
set('reported', ARGV[3], 'progress', ARGV[4], 'updated_at', now)
for _, text in ipairs(cjson.decode(ARGV[5])) do append(text) end
publish('progress')
