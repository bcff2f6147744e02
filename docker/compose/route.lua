-- Sends every image on to the node, but for what the node itself made and what this script sent.
function OnStoredInstance(instance, tags, metadata, origin)
  if origin['RequestOrigin'] ~= 'Lua' and origin['RemoteAet'] ~= 'SEGNODE' then
    SendToModality(instance, 'segnode')
  end
end
