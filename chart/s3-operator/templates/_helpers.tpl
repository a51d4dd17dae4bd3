{{- define "s3-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "s3-operator.fullname" -}}
{{- $name := include "s3-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Objects of the whole cluster: two releases of one name in two namespaces must not share them. */}}
{{- define "s3-operator.clusterWideName" -}}
{{- printf "%s:%s" .Release.Namespace (include "s3-operator.fullname" .) -}}
{{- end -}}

{{/* --reuse-values leaves out what a new version of the chart has added: without this, Helm reports a nil pointer. */}}
{{- define "s3-operator.checkValues" -}}
{{- range list "aws" "crds" "health" "iam" "image" "metrics" "networkPolicy" "podDisruptionBudget" "rbac" "serviceAccount" "testPod" -}}
{{- if not (kindIs "map" (index $.Values .)) -}}
{{- fail (printf "the value %s is null or missing; if these are values of another version of the chart, use --reset-then-reuse-values instead of --reuse-values" .) -}}
{{- end -}}
{{- end -}}
{{- if eq (int .Values.metrics.port) (int .Values.health.port) -}}
{{- fail "metrics.port and health.port must differ: each is served by its own listener" -}}
{{- end -}}
{{- end -}}

{{/* Every template begins with these. Ours win over the user's of the same name: YAML allows a key only once. */}}
{{- define "s3-operator.labels" -}}
{{- include "s3-operator.checkValues" . -}}
{{- $own := include "s3-operator.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge $own .Values.extraLabels | toYaml -}}
{{- end -}}

{{/* What tells our Pods from others, for all but the Deployment, whose selector cannot be changed. */}}
{{- define "s3-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "s3-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "s3-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default "s3-operator" .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "s3-operator.image" -}}
{{- default (printf "agill17/s3-operator:%s" .Chart.AppVersion) .Values.image.name -}}
{{- end -}}

{{/* The Secret with the credentials file; empty when the keys come from a role. */}}
{{- define "s3-operator.credentialsSecret" -}}
{{- $given := or .Values.AWS_ACCESS_KEY_ID .Values.AWS_SECRET_ACCESS_KEY -}}
{{- if and $given .Values.aws.existingSecret -}}
{{- fail "give either AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or aws.existingSecret, not both" -}}
{{- else if and $given (not (and .Values.AWS_ACCESS_KEY_ID .Values.AWS_SECRET_ACCESS_KEY)) -}}
{{- fail "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are given together or not at all" -}}
{{- else if $given -}}
{{- include "s3-operator.fullname" . }}-aws
{{- else -}}
{{- .Values.aws.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Where the ExternalName Services point to: the host of the endpoint, without its port. A DNS name is lower case.
     Nothing where there is no endpoint: the operator derives the host from each object's region. */}}
{{- define "s3-operator.externalName" -}}
{{- $endpoint := default .Values.aws.endpointURL .Values.aws.s3EndpointURL -}}
{{- if .Values.serviceExternalName -}}
{{- .Values.serviceExternalName | lower -}}
{{- else if $endpoint -}}
{{- (urlParse $endpoint).hostname | lower -}}
{{- end -}}
{{- end -}}

{{/* The TCP ports of the NetworkPolicy, as a JSON list: those that are given, and those of the endpoints. */}}
{{- define "s3-operator.egressPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.egressPorts -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- range list .Values.aws.endpointURL .Values.aws.s3EndpointURL .Values.aws.iamEndpointURL .Values.aws.stsEndpointURL -}}
{{- with . -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $ports = append $ports (int (default (ternary 443 80 (eq $url.scheme "https")) $port)) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* What every container of the image needs: the operator's and the test's. Settings that commands share (check, plan,
warn-uninstall) are here and not among the arguments of `run`, so that they hold for kubectl exec, too. */}}
{{- define "s3-operator.env" -}}
{{- $own := dict "HOME" "/tmp" "AWS_DEFAULT_REGION" (default "us-east-1" .Values.aws.region) -}}
{{- if include "s3-operator.credentialsSecret" . -}}
{{- $_ := set $own "AWS_SHARED_CREDENTIALS_FILE" "/etc/s3-operator/aws/credentials" -}}
{{- end -}}
{{- range $name, $value := dict
  "AWS_PROFILE" .Values.aws.profile
  "AWS_ENDPOINT_URL" .Values.aws.endpointURL
  "AWS_ENDPOINT_URL_S3" .Values.aws.s3EndpointURL
  "AWS_ENDPOINT_URL_IAM" .Values.aws.iamEndpointURL
  "AWS_ENDPOINT_URL_STS" .Values.aws.stsEndpointURL
  "WATCH_NAMESPACE" (join "," .Values.watchNamespaces)
  "LEADER_ELECTION_NAMESPACE" .Release.Namespace
  "LEASE_NAME" (include "s3-operator.fullname" .)
  "CLUSTER_NAME" .Values.clusterName
  "DELETION_POLICY" .Values.deletionPolicy
  "IAM_PATH" .Values.iam.path
  "PERMISSIONS_BOUNDARY" .Values.iam.permissionsBoundary
  "ALLOWED_POLICIES" (join "," .Values.iam.allowedPolicies)
  "ALLOWED_GROUPS" (join "," .Values.iam.allowedGroups)
  "TAGS" (empty .Values.tags | ternary "" (toJson .Values.tags))
  "SERVICE_EXTERNAL_NAME" (include "s3-operator.externalName" .)
-}}
{{- with $value -}}{{- $_ := set $own $name . -}}{{- end -}}
{{- end -}}
{{- /* extraEnv wins: a server-side apply refuses a name that is there twice. */ -}}
{{- range .Values.extraEnv -}}{{- $_ := unset $own .name -}}{{- end -}}
{{- range $name, $value := $own }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "s3-operator.containerBasics" -}}
image: {{ include "s3-operator.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [s3-operator]
{{- with include "s3-operator.withoutNulls" .Values.securityContext }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
env:
  {{- include "s3-operator.env" . | trim | nindent 2 }}
volumeMounts:
  - name: work
    mountPath: /run/s3-operator
  - name: tmp
    mountPath: /tmp
  {{- if include "s3-operator.credentialsSecret" . }}
  - name: aws
    mountPath: /etc/s3-operator/aws
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* A map as YAML without the fields that are null or ""; empty when none is left. Helm removes a default that a user's null
names, but drops nulls of a parent chart's values.yaml, where only "" can be written. */}}
{{- define "s3-operator.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- with include "s3-operator.withoutNulls" $value -}}{{- $_ := set $kept $key (fromYaml .) -}}{{- end -}}
{{- else if not (or (kindIs "invalid" $value) (eq (toString $value) "")) -}}
{{- $_ := set $kept $key $value -}}
{{- end -}}
{{- end -}}
{{- if $kept -}}{{- toYaml $kept -}}{{- end -}}
{{- end -}}

{{- define "s3-operator.podBasics" -}}
serviceAccountName: {{ include "s3-operator.serviceAccountName" . | quote }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "s3-operator.withoutNulls" .Values.podSecurityContext }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
{{- if .Values.hostNetwork }}
hostNetwork: true
{{- end }}
dnsPolicy: {{ default (ternary "ClusterFirstWithHostNet" "ClusterFirst" .Values.hostNetwork) .Values.dnsPolicy }}
volumes:
  # Runs have their private folders here: in memory, as they hold secrets for seconds.
  - name: work
    emptyDir:
      medium: Memory
      sizeLimit: 128Mi
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- with include "s3-operator.credentialsSecret" . }}
  - name: aws
    secret:
      secretName: {{ . | quote }}
      defaultMode: 0440
      items:
        - key: {{ ternary $.Values.aws.existingSecretKey "credentials" (not (empty $.Values.aws.existingSecret)) | quote }}
          path: credentials
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* For the whole cluster: what the operator may do with S3 objects, and what it reads by name. No Secret. */}}
{{- define "s3-operator.objectRules" -}}
- apiGroups: [agill.apps]
  resources: [s3s]
  verbs: [get, list, watch, patch]
- apiGroups: [agill.apps]
  resources: [s3s/status]
  verbs: [patch]
# Kubernetes asks for it, where OwnerReferencesPermissionEnforcement is on (OpenShift), before it takes our ownerReferences.
- apiGroups: [agill.apps]
  resources: [s3s/finalizers]
  verbs: [update]
# Whether a namespace is being deleted. The uid of kube-system is the cluster's name where clusterName gives none.
- apiGroups: [""]
  resources: [namespaces]
  {{- if .Values.watchNamespaces }}
  resourceNames: {{ concat .Values.watchNamespaces (ternary (list) (list "kube-system") (not (empty .Values.clusterName))) | uniq | toJson }}
  {{- end }}
  verbs: [get]
# Whether the CRD has all fields that this version knows.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [s3s.agill.apps]
  verbs: [get]
# Whether another operator watches the same namespaces: its Lease says so.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list]
{{- end -}}

{{/* For all namespaces, or for each watched one. */}}
{{- define "s3-operator.namespaceRules" -}}
# RBAC cannot limit list and watch by label: ours among them are known by their ownerReference.
- apiGroups: [""]
  resources: [secrets, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}
