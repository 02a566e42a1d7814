#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

/* Each command is one file, cmd_<group>_<name>.c, that exports this one row. */
extern const struct cli_command cmd_token_init;
extern const struct cli_command cmd_token_list;
extern const struct cli_command cmd_token_info;
extern const struct cli_command cmd_token_set_pin;
extern const struct cli_command cmd_token_unblock;
extern const struct cli_command cmd_token_recovery_code;
extern const struct cli_command cmd_token_erase;
extern const struct cli_command cmd_token_backup;
extern const struct cli_command cmd_token_restore;
extern const struct cli_command cmd_key_generate;
extern const struct cli_command cmd_key_list;
extern const struct cli_command cmd_key_sign;
extern const struct cli_command cmd_key_approve_pcrs;
extern const struct cli_command cmd_key_delete;
extern const struct cli_command cmd_approver_create;
extern const struct cli_command cmd_approver_export;
extern const struct cli_command cmd_approve;
extern const struct cli_command cmd_cert_import;
extern const struct cli_command cmd_cert_list;
extern const struct cli_command cmd_cert_export;
extern const struct cli_command cmd_request;
extern const struct cli_command cmd_attest_ek;
extern const struct cli_command cmd_attest_ak;
extern const struct cli_command cmd_attest_key;
extern const struct cli_command cmd_attest_quote;
extern const struct cli_command cmd_attest_check;
extern const struct cli_command cmd_gate;
extern const struct cli_command cmd_federation_part;
extern const struct cli_command cmd_federation_draft;
extern const struct cli_command cmd_federation_sign;
extern const struct cli_command cmd_federation_show;
extern const struct cli_command cmd_federation_diff;
extern const struct cli_command cmd_federation_apply;
extern const struct cli_command cmd_federation_crls;
extern const struct cli_command cmd_device_register;
extern const struct cli_command cmd_device_certify;
extern const struct cli_command cmd_device_list;
extern const struct cli_command cmd_device_approve;
extern const struct cli_command cmd_device_quarantine;
extern const struct cli_command cmd_setup_list;
extern const struct cli_command cmd_setup_p11_kit;
extern const struct cli_command cmd_setup_openssl;
extern const struct cli_command cmd_setup_openssh;
extern const struct cli_command cmd_setup_sshd;
extern const struct cli_command cmd_setup_git;
extern const struct cli_command cmd_setup_java;
extern const struct cli_command cmd_setup_curl;
extern const struct cli_command cmd_setup_nginx;
extern const struct cli_command cmd_setup_stunnel;
extern const struct cli_command cmd_setup_firefox;
extern const struct cli_command cmd_setup_chromium;
extern const struct cli_command cmd_setup_openvpn;
extern const struct cli_command cmd_setup_wpa_supplicant;
extern const struct cli_command cmd_setup_strongswan;
extern const struct cli_command cmd_ca_init;
extern const struct cli_command cmd_ca_invite;
extern const struct cli_command cmd_ca_issue;
extern const struct cli_command cmd_ca_cross;
extern const struct cli_command cmd_ca_export;
extern const struct cli_command cmd_ca_list;
extern const struct cli_command cmd_ca_revoke;
extern const struct cli_command cmd_ca_suspend;
extern const struct cli_command cmd_ca_resume;
extern const struct cli_command cmd_ca_crl;
extern const struct cli_command cmd_ca_cut;
extern const struct cli_command cmd_ca_expiring;
extern const struct cli_command cmd_ca_ocsp_responder;
extern const struct cli_command cmd_ca_ocsp;
extern const struct cli_command cmd_ca_ssh_authority;
extern const struct cli_command cmd_ca_ssh_certify;
extern const struct cli_command cmd_ca_ssh_revoked;
extern const struct cli_command cmd_usb_list;
extern const struct cli_command cmd_usb_provision;
extern const struct cli_command cmd_usb_check;
extern const struct cli_command cmd_usb_unblock;
extern const struct cli_command cmd_usb_erase;
extern const struct cli_command cmd_policy;
extern const struct cli_command cmd_verify;
extern const struct cli_command cmd_doctor;

#endif
