#!lua flags=allow-oom
--[[
Commits an uploaded state as the job's checkpoint of a step, with all metrics up to that step and
the progress of the run. From here on the job resumes there. Then drops the checkpoints that are not
to be kept. Kept are the last `keep_last`; the one before the first step, if that is wanted; the one
with the least score; and, if training may be rewound, two to rewind to. Committing again changes
nothing.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] JSON: step, blob, bytes, sha256, kinds (joined by commas), metrics (JSON text), score (text,
        less is better, or ''), keep_last, keep_best, rewind_step (the step to which training would
        be rewound from here, or null), progress, event (JSON texts), carried (the name of the blob
        if it comes along, in a list)
ARGV[4…] the bytes of that blob; then rows of metrics (shared/rows.lua)

Errors: FENCED if the lease is someone else's, INCOMPLETE if a chunk is missing, OOM if there is no
room for what comes along.
]]
fence(ARGV[1], ARGV[2])
local state = cjson.decode(ARGV[3])
put_rows(take_carried(state.carried, 4))
if not commit_checkpoint(state) then return end
set('progress', state.progress, 'updated_at', now)
append(state.event)

local rewinds = state.rewind_step ~= cjson.null
local steps = redis.call('ZRANGE', job .. ':checkpoints', 0, -1)
local keep_last = math.min(state.keep_last, number('keep_most') or state.keep_last)
-- A checkpoint may turn out to be damaged. While a fork has only one, it needs its origin too.
if not rewinds and keep_last > 1 and #steps > 1 then drop_origin() end

local best, best_score
if state.keep_best then
  for _, step in ipairs(steps) do
    local score = tonumber(redis.call('HGET', job .. ':checkpoint:' .. step, 'score'))
    if score and (not best_score or score < best_score) then best, best_score = step, score end
  end
end
-- The newest checkpoint that is old enough to rewind to, and the oldest that is not yet old
-- enough: one day that one replaces the other.
local before, after
for _, step in ipairs(rewinds and steps or {}) do
  if tonumber(step) <= state.rewind_step then before = step else after = after or step end
end
local start = get('keep_start')
for i = 1, #steps - keep_last do
  local step = steps[i]
  if step ~= best and step ~= before and step ~= after and step ~= start then
    drop_checkpoint(step)
  end
end
