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

{{- define "s3-operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Objects of the whole cluster: two releases of one name in two namespaces must not share them. */}}
{{- define "s3-operator.clusterWideName" -}}
{{- printf "%s:%s" (include "s3-operator.namespace" .) (include "s3-operator.fullname" .) -}}
{{- end -}}

{{/* Every template begins with this. --reuse-values leaves out what a new version of the chart has added, and Helm would report
     a nil pointer. */}}
{{- define "s3-operator.checkValues" -}}
{{- range list "aws" "aws.caBundle" "crds" "emptyDir" "health" "iam" "image" "livenessProbe" "metrics" "metrics.podMonitor" "metrics.prometheusRule"
  "metrics.service" "metrics.serviceMonitor" "networkPolicy" "podDisruptionBudget" "proxy" "rbac" "readinessProbe" "serviceAccount"
  "sharding" "startupProbe" "testPod" "updateStrategy" -}}
{{- $found := $.Values -}}
{{- range splitList "." . -}}{{- $found = index $found . -}}{{- end -}}
{{- if not (kindIs "map" $found) -}}
{{- fail (printf "the value %s is null or missing; if these are values of another version of the chart, use --reset-then-reuse-values instead of --reuse-values" .) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "commonAnnotations" "deploymentAnnotations" -}}
{{- range $key, $_ := index $.Values $name -}}
{{- if regexMatch "^([a-z]+\\.)?helm\\.sh/" $key -}}
{{- fail (printf "%s must not have %s: with annotations of Helm's, Helm would keep, delete or order objects in another way" $name $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.sharding.enabled (gt (int .Values.replicas) 16) -}}
{{- fail "with sharding.enabled, replicas must be at most 16: there are 16 shards, and a further replica would have none" -}}
{{- end -}}
{{- if and .Values.eventQueueURL (eq .Values.aws.provider "Other") -}}
{{- fail "eventQueueURL needs AWS: leave it out with aws.provider Other, or the operator does not start" -}}
{{- end -}}
{{- if and (regexMatch "^https?://[^/]+\\.(amazonaws\\.com|amazonaws\\.com\\.cn|api\\.aws)/" .Values.eventQueueURL) (gt (int .Values.eventDelay) 0) (lt (int .Values.eventDelay) 300) -}}
{{- fail "eventDelay must be at least 300, as CloudTrail takes about 5 minutes, or 0 to turn it off; or the operator does not start" -}}
{{- end -}}
{{- if eq (int .Values.metrics.port) (int .Values.health.port) -}}
{{- fail "metrics.port and health.port must differ: each is served by its own listener" -}}
{{- end -}}
{{- end -}}

{{/* Labels and annotations are merged: YAML allows a key only once, and the first of a name wins. */}}
{{- define "s3-operator.commonLabels" -}}
{{- merge (dict) .Values.commonLabels .Values.extraLabels | toYaml -}}
{{- end -}}

{{/* The metadata of every object. labels and annotations: those of this object, before the common ones; own: annotations
     that the user cannot replace. namespace: empty for objects of the cluster. */}}
{{- define "s3-operator.metadata" -}}
{{- $root := .root -}}
{{- $labels := include "s3-operator.selectorLabels" $root | fromYaml -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- merge $labels (default (dict) .labels) (include "s3-operator.commonLabels" $root | fromYaml) | toYaml | nindent 2 }}
{{- with merge (dict) (default (dict) .own) (default (dict) .annotations) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels of the operator's Pods alone, for all but the Deployment, whose selector cannot be changed. */}}
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
{{- $image := .Values.image -}}
{{- if not $image.name -}}
{{- $path := list $image.registry $image.repository | compact | join "/" -}}
{{- if not $image.digest -}}
{{- printf "%s:%s" $path (default .Chart.AppVersion $image.tag) -}}
{{- else if $image.tag -}}
{{- printf "%s:%s@%s" $path $image.tag $image.digest -}}
{{- else -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- end -}}
{{- else if or $image.registry $image.tag $image.digest -}}
{{- /* A digest that is given must not be ignored. */ -}}
{{- fail "give either image.name, which is the whole reference, or image.registry, image.repository, image.tag and image.digest, not both" -}}
{{- else -}}
{{- $image.name -}}
{{- end -}}
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

{{/* The AWS config file, which alone can have the addressing style; empty when none is given. */}}
{{- define "s3-operator.awsConfig" -}}
{{- with .Values.aws.addressingStyle -}}
{{- range $.Values.extraEnv -}}
{{- if eq .name "AWS_CONFIG_FILE" -}}
{{- fail "give either aws.addressingStyle or a config file of your own (AWS_CONFIG_FILE in extraEnv), not both: addressing_style belongs in that file" -}}
{{- end -}}
{{- end -}}
{{- $profile := default "default" $.Values.aws.profile -}}
{{- printf "[%s]\ns3 =\n    addressing_style = %s\n" (ternary $profile (printf "profile %s" $profile) (eq $profile "default")) . -}}
{{- end -}}
{{- end -}}

{{- define "s3-operator.checksums" -}}
{{- default (ternary "when_required" "" (eq .Values.aws.provider "Other")) .Values.aws.checksums -}}
{{- end -}}

{{/* The volume with the certificates of the store's CAs; empty when none is given. */}}
{{- define "s3-operator.caBundle" -}}
{{- $bundle := .Values.aws.caBundle -}}
{{- if and $bundle.configMap $bundle.secret -}}
{{- fail "give either aws.caBundle.configMap or aws.caBundle.secret, not both" -}}
{{- else if $bundle.secret -}}
secret:
  secretName: {{ $bundle.secret | quote }}
  defaultMode: 0440
  items: [{key: {{ $bundle.key | quote }}, path: ca.crt}]
{{- else if $bundle.configMap -}}
configMap:
  name: {{ $bundle.configMap | quote }}
  items: [{key: {{ $bundle.key | quote }}, path: ca.crt}]
{{- end -}}
{{- end -}}

{{/* The hosts that are reached without a proxy; empty where there is no proxy. Kubernetes puts the API server's address in.
     A proxy with a password is in extraEnv. */}}
{{- define "s3-operator.noProxy" -}}
{{- $isUsed := or .Values.proxy.https .Values.proxy.http .Values.proxy.noProxy -}}
{{- range .Values.extraEnv -}}{{- if has (upper .name) (list "HTTPS_PROXY" "HTTP_PROXY") -}}{{- $isUsed = true -}}{{- end -}}{{- end -}}
{{- if $isUsed -}}
{{- concat (list "$(KUBERNETES_SERVICE_HOST)" "169.254.169.254" "169.254.170.2" "169.254.170.23") .Values.proxy.noProxy | join "," -}}
{{- end -}}
{{- end -}}

{{/* The TCP ports of the NetworkPolicy, as a JSON list: those that are given, and those of the endpoints and proxies. */}}
{{- define "s3-operator.egressPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.egressPorts -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- range list .Values.aws.endpointURL .Values.aws.s3EndpointURL .Values.aws.iamEndpointURL .Values.aws.stsEndpointURL
  .Values.proxy.https .Values.proxy.http -}}
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
{{- if include "s3-operator.awsConfig" . -}}
{{- $_ := set $own "AWS_CONFIG_FILE" "/etc/s3-operator/config/config" -}}
{{- end -}}
{{- if include "s3-operator.caBundle" . -}}
{{- $_ := set $own "AWS_CA_BUNDLE" "/etc/s3-operator/ca/ca.crt" -}}
{{- end -}}
{{- range $name, $value := dict
  "AWS_PROFILE" .Values.aws.profile
  "AWS_ENDPOINT_URL" .Values.aws.endpointURL
  "AWS_ENDPOINT_URL_S3" .Values.aws.s3EndpointURL
  "AWS_ENDPOINT_URL_IAM" .Values.aws.iamEndpointURL
  "AWS_ENDPOINT_URL_STS" .Values.aws.stsEndpointURL
  "AWS_REQUEST_CHECKSUM_CALCULATION" (include "s3-operator.checksums" .)
  "AWS_RESPONSE_CHECKSUM_VALIDATION" (include "s3-operator.checksums" .)
  "HTTPS_PROXY" .Values.proxy.https
  "HTTP_PROXY" .Values.proxy.http
  "NO_PROXY" (include "s3-operator.noProxy" .)
  "PROVIDER" .Values.aws.provider
  "ACCOUNT_ID" .Values.aws.accountID
  "WATCH_NAMESPACE" (join "," .Values.watchNamespaces)
  "LEADER_ELECTION_NAMESPACE" (include "s3-operator.namespace" .)
  "LEASE_NAME" (include "s3-operator.fullname" .)
  "EVENT_QUEUE_URL" .Values.eventQueueURL
  "SHARDING" (ternary "true" "" .Values.sharding.enabled)
  "CLUSTER_NAME" .Values.clusterName
  "DELETION_POLICY" .Values.deletionPolicy
  "IAM_PATH" .Values.iam.path
  "PERMISSIONS_BOUNDARY" .Values.iam.permissionsBoundary
  "OIDC_PROVIDER_ARN" .Values.iam.oidcProviderARN
  "EKS_CLUSTER_ARN" .Values.iam.eksClusterARN
  "ANNOTATE_SERVICE_ACCOUNTS" (ternary "true" "" .Values.iam.annotateServiceAccounts)
  "ALLOWED_POLICIES" (join "," .Values.iam.allowedPolicies)
  "ALLOWED_GROUPS" (join "," .Values.iam.allowedGroups)
  "ALLOWED_SETTINGS" (kindIs "invalid" .Values.allowedSettings | ternary "" (join "," .Values.allowedSettings | default "none"))
  "TAGS" (empty .Values.tags | ternary "" (toJson .Values.tags))
  "RESOURCE_LABELS" (empty .Values.resourceLabels | ternary "" (toJson .Values.resourceLabels))
  "RESOURCE_ANNOTATIONS" (empty .Values.resourceAnnotations | ternary "" (toJson .Values.resourceAnnotations))
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
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
  {{- if include "s3-operator.awsConfig" . }}
  - name: aws-config
    mountPath: /etc/s3-operator/config
    readOnly: true
  {{- end }}
  {{- if include "s3-operator.caBundle" . }}
  - name: ca-bundle
    mountPath: /etc/s3-operator/ca
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
# Also where the ServiceAccount itself has it off: without a token nothing works.
automountServiceAccountToken: true
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
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
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  # Runs have their private folders here: in memory, as they hold secrets for seconds.
  - name: work
    emptyDir:
      medium: Memory
      sizeLimit: {{ .Values.emptyDir.work }}
  - name: tmp
    emptyDir:
      sizeLimit: {{ .Values.emptyDir.tmp }}
  {{- with include "s3-operator.credentialsSecret" . }}
  - name: aws
    secret:
      secretName: {{ . | quote }}
      defaultMode: 0440
      items:
        - key: {{ ternary $.Values.aws.existingSecretKey "credentials" (not (empty $.Values.aws.existingSecret)) | quote }}
          path: credentials
  {{- end }}
  {{- if include "s3-operator.awsConfig" . }}
  - name: aws-config
    configMap:
      name: {{ include "s3-operator.fullname" . }}-aws-config
  {{- end }}
  {{- with include "s3-operator.caBundle" . }}
  - name: ca-bundle
    {{- . | nindent 4 }}
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

{{/* The times of a probe: Helm reads numbers as floats. */}}
{{- define "s3-operator.times" -}}
{{- range $name, $value := . }}
{{ $name }}: {{ int $value }}
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
# Whether another operator watches the same namespaces: its Lease shows it.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list]
{{- end -}}

{{/* For all namespaces, or for each watched one. */}}
{{- define "s3-operator.namespaceRules" -}}
# RBAC cannot limit list and watch by label: the operator's own are known by their ownerReference.
- apiGroups: [""]
  resources: [secrets, services]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.rbac.configMaps }}
# Of objects with the layout OBC. They are read by name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch, delete]
{{- end }}
{{- if .Values.iam.annotateServiceAccounts }}
# Of objects with iamRole.annotate. They are read by name, and only annotations are written.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, patch]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}
