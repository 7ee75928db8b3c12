#!lua flags=allow-oom
--[[
Notes why the next trial of a study does not start although it may.

KEYS[1] the study's record
ARGV[1] the reason, or '' if there is none any more
]]
if get('status') ~= 'running' or (get('held') or '') == ARGV[1] then return end
if ARGV[1] == '' then unset('held') else set('held', ARGV[1]) end
publish('progress')
