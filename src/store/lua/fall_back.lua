#!lua flags=allow-oom
--[[
Gives up a job's last checkpoint, whose bytes turned out to be damaged. Drops the metrics after the
checkpoint before it: the run computes those steps again. If there is no other checkpoint, the job
starts again where it began. Doing it again changes nothing.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] the step of the checkpoint

Returns 'done', or 'stuck' if the job has nothing to go on from: it began with a state or weights
  of others, and these are gone. Then nothing has changed. Error FENCED if the lease is someone
  else's.
]]
fence(ARGV[1], ARGV[2])
if get('checkpoint_step') ~= ARGV[3] then return 'done' end
local step = tonumber(ARGV[3])
local earlier = redis.call('ZCOUNT', job .. ':checkpoints', '-inf', '(' .. ARGV[3]) > 0
-- A fork that was rewound to a step before its origin starts from nothing, as its parent did
-- (rewind.lua).
local begins_with = get('parent') or get('init')
if not earlier and begins_with and not get('origin') and not get('changes') then
  return 'stuck'
end
drop_checkpoint(ARGV[3])
local newest = resume_from_newest()
drop_rows(newest or 0)
renew_events()
set('updated_at', now)
local from = newest and 'the checkpoint of step ' .. newest
  or not get('origin') and 'the beginning'
  or get('init') and 'the weights that it began with'
  or 'what it was forked from'
local message = 'The checkpoint of step ' .. ARGV[3] .. ' is damaged: the job goes on from ' ..
  from .. '.'
append(event('checkpoint_damaged', message, step))
return 'done'
