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

{{- define "s3-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "s3-operator.selectorLabels" . }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What tells our Pods from others, for all but the Deployment, whose selector cannot be changed. */}}
{{- define "s3-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "s3-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
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

{{/* What every container of the image needs: the operator's, the test's and the uninstall warning's. */}}
{{- define "s3-operator.env" -}}
- name: HOME
  value: /tmp
{{- if include "s3-operator.credentialsSecret" . }}
- name: AWS_SHARED_CREDENTIALS_FILE
  value: /etc/s3-operator/aws/credentials
{{- end }}
{{- with .Values.aws.profile }}
- name: AWS_PROFILE
  value: {{ . | quote }}
{{- end }}
- name: AWS_DEFAULT_REGION
  value: {{ default "us-east-1" .Values.aws.region | quote }}
{{- with .Values.aws.endpointURL }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.s3EndpointURL }}
- name: AWS_ENDPOINT_URL_S3
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.iamEndpointURL }}
- name: AWS_ENDPOINT_URL_IAM
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.stsEndpointURL }}
- name: AWS_ENDPOINT_URL_STS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "s3-operator.containerBasics" -}}
image: {{ include "s3-operator.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [s3-operator]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
env:
  {{- include "s3-operator.env" . | nindent 2 }}
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

{{- define "s3-operator.podBasics" -}}
{{- if not (kindIs "map" .Values.aws) -}}
{{- fail "these are the values of another version of the chart: use --reset-then-reuse-values instead of --reuse-values" -}}
{{- end -}}
serviceAccountName: {{ include "s3-operator.serviceAccountName" . }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1001
  runAsGroup: 1001
  fsGroup: 1001
  seccompProfile:
    type: RuntimeDefault
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
      secretName: {{ . }}
      defaultMode: 0440
      items:
        - key: {{ ternary $.Values.aws.existingSecretKey "credentials" (not (empty $.Values.aws.existingSecret)) }}
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
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* One list for the ClusterRole and for the Role of each watched namespace. */}}
{{- define "s3-operator.rules" -}}
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
# RBAC cannot limit list and watch by label: ours among them are told by their ownerReference.
- apiGroups: [""]
  resources: [secrets, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# Whether it is being deleted.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end -}}
