#!lua flags=allow-oom
--[[
Ends a job as its run asks. Writes status, result or error, the last state, the model files, the
last metrics and the last events together. Finishing again with the same status changes nothing.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] JSON: status; fields {name: text} of the record; state (as in commit.lua) or null; models
        {which: {blob, bytes, sha256}}; events [JSON texts, or the number of one that comes along
        packed]; packed: how many come along packed; carried: the names of the blobs that come
        along; next: the claimed job that is to begin {record, token, place} or null
ARGV[4…] the bytes of each of these blobs; packed events (shared/events.lua); then rows of metrics
        (shared/rows.lua)

Returns what it began (`taken` in shared/begin.lua), or nil if that job is not the claim's any more,
  or must wait.
Errors: FENCED if the lease is someone else's, INCOMPLETE if a chunk is missing, OOM if there is no
room for what comes along.
]]
-- The bytes that the record of a model file takes.
local MODEL_BYTES = 300

local change = cjson.decode(ARGV[3])

local function begin_next()
  local next_ = change.next
  if next_ == cjson.null then return end
  return (begin_claimed(next_.record, next_.token, next_.place))
end

-- Whether it is the pooled model of a set, whose other models follow.
local is_pooled = get('pooling') and change.status == 'succeeded'

if get('pooled_by') == ARGV[2] then return begin_next() end
if get('status') == change.status and holds(ARGV[1], ARGV[2]) then return begin_next() end
fence(ARGV[1], ARGV[2])
local packed = take_carried(change.carried, 4)
put_rows(packed + change.packed)
if change.state ~= cjson.null then commit_checkpoint(change.state) end
for which, file in pairs(change.models) do
  keep_blob(file.blob, file.bytes)
  spend(MODEL_BYTES)
  redis.call('HSET', job .. ':model:' .. which,
    'blob', file.blob, 'bytes', file.bytes, 'sha256', file.sha256)
end
for field, text in pairs(change.fields) do
  set(is_pooled and field == 'result' and 'pooled_result' or field, text)
  spend(text_room(text, FIELD_BYTES))
end
set('updated_at', now)
for _, event in ipairs(change.events) do
  if type(event) == 'number' then append_packed(ARGV[packed + event]) else append(event) end
end
if is_pooled then begin_models(ARGV[2]) else end_job(change.status) end
return begin_next()
