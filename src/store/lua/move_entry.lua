#!lua flags=allow-oom
--[[
Points the record of an archived job to a copy of its entry, if it points to the original.

KEYS[1] the job's record
ARGV[1] the place of the original, as in archive_job.lua
ARGV[2] the place of the copy

Returns 1 if the record points to the copy now, else 0.
]]
if get('archived') == ARGV[1] then
  count_archived(ARGV[1], -1)
  count_archived(ARGV[2], 1)
  set('archived', ARGV[2])
end
return get('archived') == ARGV[2] and 1 or 0
