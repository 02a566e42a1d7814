#include "cli/commands.h"

static const struct cli_group groups[] = {
    {"token", "a set of keys in a TPM, guarded by PINs"},
    {"key", "key pairs made in the token's TPM, which never leave it"},
    {"approver", "keys by which this token approves what others do"},
    {"cert", "certificates kept beside the keys"},
    {"ca", "an authority that certifies keys on evidence from their TPM"},
    {"attest", "what the TPM says of itself and of its keys"},
    {"device", "which TPMs may ask an authority, and for what"},
    {"usb", "tokens that travel: USB tokens that carry keys, certificates and PINs"},
    {"setup", "applications that shall use the module"},
    {NULL, NULL},
};

/* One a line. */
/* clang-format off */
static const struct cli_command *const commands[] = {
    &cmd_token_init,
    &cmd_token_list,
    &cmd_token_info,
    &cmd_token_set_pin,
    &cmd_token_unblock,
    &cmd_token_recovery_code,
    &cmd_token_erase,
    &cmd_token_backup,
    &cmd_token_restore,
    &cmd_key_generate,
    &cmd_key_list,
    &cmd_key_sign,
    &cmd_key_approve_pcrs,
    &cmd_key_delete,
    &cmd_approver_create,
    &cmd_approver_export,
    &cmd_cert_import,
    &cmd_cert_list,
    &cmd_cert_export,
    &cmd_ca_init,
    &cmd_ca_invite,
    &cmd_ca_issue,
    &cmd_ca_cross,
    &cmd_ca_export,
    &cmd_ca_list,
    &cmd_attest_ek,
    &cmd_attest_ak,
    &cmd_attest_key,
    &cmd_attest_quote,
    &cmd_attest_check,
    &cmd_device_register,
    &cmd_device_list,
    &cmd_device_approve,
    &cmd_device_quarantine,
    &cmd_setup_list,
    &cmd_setup_p11_kit,
    &cmd_setup_openssl,
    &cmd_setup_openssh,
    &cmd_setup_sshd,
    &cmd_setup_git,
    &cmd_setup_java,
    &cmd_setup_curl,
    &cmd_setup_nginx,
    &cmd_setup_stunnel,
    &cmd_setup_firefox,
    &cmd_setup_chromium,
    &cmd_setup_openvpn,
    &cmd_setup_wpa_supplicant,
    &cmd_setup_strongswan,
    &cmd_usb_list,
    &cmd_usb_provision,
    &cmd_usb_check,
    &cmd_usb_unblock,
    &cmd_usb_erase,
    &cmd_request,
    &cmd_approve,
    &cmd_verify,
    &cmd_policy,
    &cmd_doctor,
    NULL,
};
/* clang-format on */

int main(int argc, char **argv)
{
    static const struct cli_program program = {groups, commands};

    return cli_main(&program, argc, argv);
}
