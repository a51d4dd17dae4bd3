-- Argo CD's health of an S3 object: resource.customizations.health.agill.apps_S3 in the ConfigMap argocd-cm.
local health = {status = "Progressing", message = "not seen by s3-operator yet"}
local status = obj.status or {}
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "being deleted"
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  return health
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" then
    if condition.type == "Stalled" then
      return {status = "Degraded", message = condition.reason .. ": " .. condition.message}
    elseif condition.type == "Reconciling" then
      health.message = condition.reason .. ": " .. condition.message
    elseif condition.type == "Ready" then
      health.status, health.message = "Healthy", condition.message
    end
  end
end
return health
