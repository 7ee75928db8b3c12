
end

-- Redis takes nothing back when a script fails. So what belongs to the part that was done is
-- written too. In Redis, `pcall` turns the table of an error into its text.
local done, answer = pcall(script)
write_all()
write_sums()
if not done then error({ err = answer }) end
return answer
