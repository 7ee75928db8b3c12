#!lua flags=allow-oom
--[[
Adds a trial to a study, or changes one. It takes effect only if the trial is what the caller
believes, so that two controllers at once do no harm.

KEYS[1] the study's record
ARGV[1] the trial's number
ARGV[2] the trial as it is, as JSON; '' for a new one, which only a running study takes
ARGV[3] the trial as it is to be, as JSON
ARGV[4] how it ended, or '' if it has not ended
ARGV[5] its objective if it succeeded, else ''
ARGV[6] the event if it is the best so far, as JSON

Returns 1, or 0 if it is something else.
]]
local trials = job .. ':trials'
if ARGV[2] == '' then
  if get('status') ~= 'running' then return 0 end
  if redis.call('LLEN', trials) ~= tonumber(ARGV[1]) then return 0 end
  redis.call('RPUSH', trials, ARGV[3])
else
  if redis.call('LINDEX', trials, ARGV[1]) ~= ARGV[2] then return 0 end
  redis.call('LSET', trials, ARGV[1], ARGV[3])
end
if ARGV[4] ~= '' then increase('ended_' .. ARGV[4], 1) end
if ARGV[5] ~= '' then
  local value, best = tonumber(ARGV[5]), number('best_value')
  if get('direction') == 'maximize' then value, best = -value, best and -best end
  local is_first = value == best and tonumber(ARGV[1]) < number('best_trial')
  if not best or value < best or is_first then
    set('best_value', ARGV[5], 'best_trial', ARGV[1])
    note(ARGV[6])
  end
end
publish('progress')
return 1
